"""PyPI Authlib against an authority: `python authlib_client.py SETTINGS.json [CASE…]`."""

import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, on loopback

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from authlib.jose import JsonWebKey, jwt
from joserfc.jwk import ECKey

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cases import case, run, settings
from person import Person

SCOPE = "openid profile email offline_access"
metadata = requests.get(settings["issuer"] + "/.well-known/openid-configuration", timeout=20).json()
clients = settings["clients"]


def session(app, **more):
    method = app.get("method") or ("private_key_jwt" if app.get("jwk") else "client_secret_basic" if app.get("secret") else "none")
    secret = app.get("secret")
    if app.get("jwk"):
        secret = ECKey.import_key(app["jwk"])
    made = OAuth2Session(
        app["id"], secret, token_endpoint_auth_method=method, scope=more.pop("scope", SCOPE),
        redirect_uri=app.get("redirect"), code_challenge_method="S256",
        revocation_endpoint_auth_method=method, token_endpoint=metadata["token_endpoint"], **more)
    if app.get("jwk"):
        # The audience is the issuer and nothing else.
        made.register_client_auth_method(PrivateKeyJWT(metadata["issuer"], alg="ES256", headers={"kid": app["jwk"]["kid"]}))
    return made


def login(app, person=None, **parameters):
    person = person or Person(settings["person"], settings.get("provider"))
    made = session(app)
    verifier, nonce = generate_token(64), generate_token(24)
    url, state = made.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce, **{"prompt": "consent", **parameters})
    back = person.visit(url, app["redirect"])
    token = made.fetch_token(metadata["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier)
    keys = JsonWebKey.import_key_set(requests.get(metadata["jwks_uri"], timeout=20).json())
    claims = jwt.decode(token["id_token"], keys, claims_cls=CodeIDToken, claims_options={
        "iss": {"essential": True, "value": settings["issuer"]}, "aud": {"essential": True, "value": app["id"]}},
        claims_params={"nonce": nonce, "client_id": app["id"], "access_token": token["access_token"]})
    claims.validate(leeway=5)
    return made, token, claims, back, verifier


def refused(error, call):
    try:
        answer = call()
    except OAuthError as refusal:
        assert refusal.error == error, refusal
    else:
        raise AssertionError(f"not refused: {answer}")


def whole_flow(name):
    made, token, claims, _, _ = login(clients[name])
    info = made.get(metadata["userinfo_endpoint"]).json()
    assert info["sub"] == claims["sub"], info
    assert info["name"] and info["email"], info
    old = token["refresh_token"]
    renewed = made.refresh_token(metadata["token_endpoint"], refresh_token=old)
    assert renewed["access_token"] != token["access_token"]
    assert made.get(metadata["userinfo_endpoint"]).json()["sub"] == claims["sub"]


for _name in ("basic", "post", "jwt", "public"):
    case(f"code + PKCE, ID token, userinfo, refresh: {_name}")(lambda name=_name: whole_flow(name))


@case("code: one that is redeemed again takes its grant along")
def replay():
    made, token, _, back, verifier = login(clients["basic"])
    refused("invalid_grant", lambda: session(clients["basic"]).fetch_token(
        metadata["token_endpoint"], authorization_response=back, code_verifier=verifier))
    refused("invalid_grant", lambda: made.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"]))


@case("client credentials")
def client_credentials():
    for name in ("service", "service_post", "service_jwt"):
        token = session(clients[name], scope=settings["service_scope"]).fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials")
        assert token["token_type"].lower() == "bearer", token


@case("introspection and revocation")
def introspection():
    made, token, claims, _, _ = login(clients["basic"])
    told = made.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
    assert told["active"] and told["sub"] == claims["sub"], told
    assert made.revoke_token(metadata["revocation_endpoint"], token=token["refresh_token"]).status_code == 200
    told = made.introspect_token(metadata["introspection_endpoint"], token=token["refresh_token"]).json()
    assert told == {"active": False}, told
    assert made.get(metadata["userinfo_endpoint"]).status_code == 401


@case("a wrong secret")
def wrong_secret():
    wrong = dict(clients["service"], secret="wrong")
    refused("invalid_client", lambda: session(wrong, scope=settings["service_scope"]).fetch_token(
        metadata["token_endpoint"], grant_type="client_credentials"))


run()
