-- Asks the sidecar whether a request may pass. `http-request lua.doorward URL` sets txn.doorward_status
-- (200 lets pass, 503 when nobody answers), txn.doorward_challenge and, for people who have to log in,
-- txn.doorward_location, and writes the identity headers.

-- HAProxy 2.6 tries four times, so nobody waits longer than a second.
local TIMEOUT_MS = 250

local IDENTITY = { "x-auth-user", "x-auth-client", "x-auth-org" }

-- The question has headers of its own in their place.
local OWN = {
    ["host"] = true,
    ["connection"] = true,
    ["content-length"] = true,
    ["transfer-encoding"] = true,
    ["expect"] = true,
    ["upgrade"] = true,
    ["x-forwarded-method"] = true,
    ["x-forwarded-host"] = true,
    ["x-forwarded-uri"] = true,
}

-- HAProxy counts values from 0.
local function values(of)
    local list = {}
    local place = 0
    while of ~= nil and of[place] ~= nil do
        list[#list + 1] = of[place]
        place = place + 1
    end
    return list
end

core.register_action("doorward", { "http-req" }, function(txn, url)
    txn:set_var("txn.doorward_status", 503)
    txn:set_var("txn.doorward_challenge", "Bearer")
    local given = txn.http:req_get_headers()
    local headers = {}
    for name, of in pairs(given) do
        if not OWN[name] then
            headers[name] = values(of)
        end
    end
    headers["host"] = { "localhost" }
    headers["x-forwarded-method"] = { txn.f:method() }
    -- All of them: two are refused.
    headers["x-forwarded-host"] = values(given["host"])
    headers["x-forwarded-uri"] = { txn.f:pathq() }

    local answer = core.httpclient():get { url = url, headers = headers, timeout = TIMEOUT_MS }
    if answer == nil or answer.status == nil or answer.status == 0 then
        return
    end
    local told = answer.headers or {}
    if answer.status == 200 then
        for _, name in ipairs(IDENTITY) do
            txn.http:req_set_header(name, values(told[name])[1] or "")
        end
    elseif answer.status == 302 and told["location"] ~= nil then
        txn:set_var("txn.doorward_location", values(told["location"])[1])
    elseif told["www-authenticate"] ~= nil then
        txn:set_var("txn.doorward_challenge", values(told["www-authenticate"])[1])
    end
    txn:set_var("txn.doorward_status", answer.status)
end, 1)
