"""Apache with mod_auth_openidc in front of a page, and people who log in at the authority to see it:
`python apache.py SETTINGS.json [CASE…]`. DOORWARD_APACHE is the folder where Apache was unpacked."""

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cases import case, run, settings
from person import Person

APACHE = os.environ["DOORWARD_APACHE"]
LIBRARIES = os.path.join(APACHE, "usr/lib/x86_64-linux-gnu")
app = settings["clients"]["apache"]
api_client = settings["clients"].get("api", app)
home = app["redirect"].removesuffix("/protected/redirect")
port = int(home.rpartition(":")[2])
folder = tempfile.mkdtemp(prefix="doorward-apache-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)

CONFIGURATION = """
ServerRoot "{folder}"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile "{folder}/pid"
ErrorLog "{folder}/error.log"
LogLevel warn auth_openidc:info
Mutex file:{folder} default
DefaultRuntimeDir "{folder}"
{user}
{modules}
DocumentRoot "{folder}/pages"
<Directory "{folder}/pages">
  Require all granted
</Directory>
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {id}
OIDCClientSecret {secret}
OIDCRedirectURI {home}/protected/redirect
OIDCCryptoPassphrase "exec:{passphrase}"
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCResponseType code
OIDCResponseMode query
OIDCRemoteUserClaim sub
OIDCStateMaxNumberOfCookies 20 true
OIDCOAuthServerMetadataURL {issuer}/.well-known/openid-configuration
OIDCOAuthClientID {api[id]}
OIDCOAuthClientSecret {api[secret]}
OIDCOAuthRemoteUserClaim sub
<Location "/protected">
  AuthType openid-connect
  Require valid-user
  Header always set X-Seen-User "expr=%{{REMOTE_USER}}"
  Header always set X-Seen-Name "expr=%{{req:OIDC_CLAIM_name}}"
  Header always set X-Seen-Email "expr=%{{req:OIDC_CLAIM_email}}"
</Location>
<Location "/nobody">
  AuthType openid-connect
  Require claim sub:nobody
</Location>
<Location "/api">
  AuthType oauth20
  Require valid-user
  Header always set X-Seen-User "expr=%{{REMOTE_USER}}"
</Location>
"""
MODULES = ["mpm_event", "authn_core", "authz_core", "authz_user", "authz_host", "unixd", "dir", "headers", "mime", "auth_openidc"]


def start():
    os.chmod(folder, 0o755)
    for page in ("", "protected", "nobody", "api"):
        os.makedirs(os.path.join(folder, "pages", page), exist_ok=True)
        with open(os.path.join(folder, "pages", page, "index.html"), "w", encoding="utf-8") as file:
            file.write(f"<p>this is /{page}</p>")
    passphrase = os.path.join(folder, "passphrase")
    with open(passphrase, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\necho {os.urandom(16).hex()}\n")
    os.chmod(passphrase, 0o755)
    modules = os.path.join(APACHE, "usr/lib/apache2/modules")
    loaded = [f'LoadModule {name}_module "{modules}/mod_{name}.so"' for name in MODULES
              if os.path.exists(f"{modules}/mod_{name}.so")]
    open(os.path.join(folder, "mime.types"), "w", encoding="utf-8").close()
    text = CONFIGURATION.format(
        folder=folder, port=port, home=home, issuer=settings["issuer"], id=app["id"], secret=app["secret"],
        api=api_client, passphrase=passphrase,
        modules="\n".join(loaded) + f'\nTypesConfig "{folder}/mime.types"\nDirectoryIndex index.html',
        user="User nobody\nGroup nogroup" if os.getuid() == 0 else "")
    configuration = os.path.join(folder, "httpd.conf")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write(text)
    server = subprocess.Popen(
        [os.path.join(APACHE, "usr/sbin/apache2"), "-DFOREGROUND", "-f", configuration],
        env={**os.environ, "LD_LIBRARY_PATH": LIBRARIES}, stdin=subprocess.DEVNULL)
    atexit.register(server.kill)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.02)
    raise SystemExit(f"Apache did not start: {log()}")


def log():
    try:
        with open(os.path.join(folder, "error.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]
    except FileNotFoundError:
        return ""


def enter(person, path="/protected/"):
    """Goes to a protected page and through the login; gives the page."""
    page = person.visit(home + path)
    assert page.url.startswith(home + path), f"{page.url}\n{page.body}\n{log()}"
    return page


@case("a protected page is shown after a login, with the person's claims")
def login():
    person = Person(settings["person"], settings.get("provider"))
    page = enter(person)
    assert "this is /protected" in page.body
    assert page.headers["x-seen-user"], dict(page.headers)
    assert page.headers["x-seen-name"] == settings["person"], dict(page.headers)
    assert settings["person"] in page.headers["x-seen-email"], dict(page.headers)
    again = person.get(home + "/protected/")
    assert again.status == 200 and again.headers["x-seen-user"] == page.headers["x-seen-user"]


@case("a claim that the browser made up is not believed")
def spoofed():
    person = Person(settings["person"], settings.get("provider"))
    enter(person)
    cookies = "; ".join(pair for (host, _), pair in person.cookies.items() if host == f"127.0.0.1:{port}")
    answer = person.request("GET", home + "/protected/", None, {"cookie": cookies, "OIDC_CLAIM_name": "root", "OIDC-CLAIM-name": "root"})
    assert answer.headers["x-seen-name"] == settings["person"], dict(answer.headers)


@case("somebody else's page stays closed")
def forbidden():
    person = Person(settings["person"], settings.get("provider"))
    enter(person)
    assert person.get(home + "/nobody/").status in (401, 403)


@case("logout ends the session at Apache and at the authority")
def logout():
    person = Person(settings["person"], settings.get("provider"))
    enter(person)
    url = f"{home}/protected/redirect?logout={urllib.parse.quote(home + '/bye', safe='')}"
    person.leaving = True
    back = person.visit(url, home + "/bye")
    person.leaving = False
    assert back.startswith(home + "/bye"), back
    answer = person.get(home + "/protected/")
    assert answer.location and answer.location.startswith(settings["issuer"]), f"{answer.status} {answer.location}"
    # The authority asks who it is, rather than sending the person straight back.
    person.visit(home + "/protected/")
    assert any(page.url.startswith(settings["issuer"]) for page in person.pages), [page.url for page in person.pages]


# The yardstick does not introspect tokens that are JWTs.
_api = case if "resource" in settings else (lambda _: lambda body: body)


@_api("an API behind Apache takes access tokens and refuses others (introspection)")
def api():
    service = settings["clients"]["service_post"]
    metadata = json.load(urllib.request.urlopen(settings["issuer"] + "/.well-known/openid-configuration", timeout=20))
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": service["id"],
                                   "client_secret": service["secret"], "scope": settings["service_scope"],
                                   "resource": settings["resource"]}).encode()
    token = json.load(urllib.request.urlopen(metadata["token_endpoint"], form, timeout=20))["access_token"]
    person = Person("api")
    assert person.request("GET", home + "/api/", None, {"authorization": f"Bearer {token}"}).status == 200, log()
    assert person.request("GET", home + "/api/", None, {"authorization": "Bearer unknown"}).status == 401
    assert person.get(home + "/api/").status == 401


if app.get("backchannel"):
    @case("back-channel logout: the authority tells Apache that the session is over")
    def backchannel():
        person = Person(settings["person"], settings.get("provider"))
        enter(person)
        person.leaving = True
        page = person.visit(settings["issuer"] + "/oauth2/logout")
        person.leaving = False
        for _ in range(100):
            if person.get(home + "/protected/").location:
                return
            time.sleep(0.1)
        raise AssertionError(f"the session at Apache goes on after {page.url}: {page.body}\n{log()}")


start()
run()
