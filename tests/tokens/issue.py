"""Tokens by PyJWT, honest and hostile: `issue.py FOLDER` writes keys there and prints tokens with what must become of them.

Needs the PyPI packages PyJWT and cryptography.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

folder = Path(sys.argv[1])
secret = "a shared secret that is longer than thirty-two bytes"
keys = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
makers = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(algorithm, key, name):
    return json.loads(makers[algorithm].to_jwk(key.public_key())) | {"kid": name, "use": "sig", "alg": algorithm}


(folder / "HS256").write_text(secret)
for algorithm, key in keys.items():
    (folder / algorithm).write_text(pem(key))
published = [jwk(algorithm, key, "first-" + algorithm) for algorithm, key in keys.items()]
(folder / "jwks.json").write_text(json.dumps({"keys": published}))
new = ec.generate_private_key(ec.SECP256R1())
(folder / "rotated.json").write_text(json.dumps({"keys": [*published, jwk("ES256", new, "second")]}))

now = int(time.time())
claims = {
    "sub": "u-7",
    "iss": "https://id.test",
    "aud": "app",
    "exp": now + 600,
    "tenant": "acme",
    "roles": ["editor", "a,b"],
    "scope": "read write",
}
tokens = []


def add(name, token, right=False, **more):
    tokens.append({"name": name, "token": token, "right": right, **more})


def encode(changes=None, algorithm="ES256", key=None, **more):
    changed = {name: value for name, value in (claims | (changes or {})).items() if value is not None}
    return jwt.encode(changed, key or keys.get(algorithm, secret), algorithm=algorithm, **more)


def part(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def by_hand(header, body, key=secret.encode()):
    message = part(header) + "." + part(body)
    return message + "." + base64.urlsafe_b64encode(hmac.digest(key, message.encode(), hashlib.sha256)).rstrip(b"=").decode()


for algorithm in ["HS256", "RS256", "ES256", "EdDSA"]:
    add(algorithm, encode(algorithm=algorithm), right=True)
    add(algorithm + " with the name of its key", encode(algorithm=algorithm, headers={"kid": "first-" + algorithm}), right=True)
add("one of several audiences", encode({"aud": ["x", "app"]}), right=True)
add("a little late", encode({"exp": now - 5}), right=True)
add("a second one for the set", encode({"nonce": 1}, headers={"kid": "first-ES256"}), right=True)
add("somebody else of the tenant", encode({"sub": "u-8"}), elsewhere=True)
add("the same name in another tenant", encode({"tenant": "other"}), elsewhere=True)
add("the same with fewer scopes", encode({"scope": "read"}), elsewhere=True)
add("new key", encode(key=new, headers={"kid": "second"}), rotated=True)

add("no algorithm", jwt.encode(claims, None, algorithm="none"))
for spelling in ["none", "None", "nOnE"]:
    add("no algorithm, as " + spelling, part({"alg": spelling, "typ": "JWT"}) + "." + part(claims) + ".")
add("the public RSA key as a secret", by_hand({"alg": "HS256", "typ": "JWT"}, claims, pem(keys["RS256"]).encode()))
add("the public RSA key as a secret, without its last line break", by_hand({"alg": "HS256"}, claims, pem(keys["RS256"]).strip().encode()))
add("the key set as a secret", by_hand({"alg": "HS256"}, claims, (folder / "jwks.json").read_bytes()))
add("its own key", encode(key=new, headers={"jwk": jwk("ES256", new, "mine"), "kid": "mine"}))
add("its own key under our name", encode(key=new, headers={"kid": "first-ES256", "jwk": jwk("ES256", new, "first-ES256")}))
add("its own address of keys", encode(key=new, headers={"jku": "https://evil.test/jwks.json", "kid": "first-ES256"}))
add("expired", encode({"exp": now - 3600}))
add("for ever", encode({"exp": None}))
add("exp is a text", by_hand({"alg": "HS256"}, claims | {"exp": "9999999999"}))
add("exp beyond numbers", by_hand({"alg": "HS256"}, json.dumps(claims)[:-1].replace('"exp": %d' % claims["exp"], '"exp": 1e999') + "}"))
add("not yet", encode({"nbf": now + 3600}))
add("another issuer", encode({"iss": "https://id.test.evil"}))
add("no issuer", encode({"iss": None}))
add("another audience", encode({"aud": "other"}))
add("no audience", encode({"aud": None}))
add("nobody", encode({"sub": None}))
add("an empty name", encode({"sub": ""}))
add("critical extension", encode(headers={"crit": ["b64"], "b64": True}))
add("critical extension nobody knows", encode(headers={"crit": ["x-new"], "x-new": 1}))
add("unencoded payload", by_hand({"alg": "HS256", "b64": False, "crit": ["b64"]}, claims))
add("a token to log out", encode(headers={"typ": "logout+jwt"}))
add("the same claim twice", by_hand({"alg": "HS256"}, json.dumps(claims)[:-1] + ', "sub": "root"}'))
add("the same header twice", by_hand('{"alg": "HS256", "alg": "HS256"}', claims))
add("deep", by_hand({"alg": "HS256"}, '{"sub":' + "[" * 900 + "]" * 900 + "}"))
add("long", encode({"roles": ["r" * 200] * 45}, algorithm="HS256"))
add("more roles than a header holds", by_hand({"alg": "HS256"}, claims | {"roles": ["role-%d" % number for number in range(500)]}))
add("roles that are an object", encode({"roles": {"admin": True}}))
add("a list", by_hand({"alg": "HS256"}, ["sub", "u-7"]))
add("an altered claim", (lambda a, b: ".".join([*b.split(".")[:2], a.split(".")[2]]))(encode(), encode({"sub": "root"})))
add("a cut signature", encode(algorithm="RS256")[:-40])
add("an empty signature", encode().rsplit(".", 1)[0] + ".")
add("a signature of zeros (CVE-2022-21449)", encode().rsplit(".", 1)[0] + "." + part("\0" * 64))
add("HS384 with the right secret", encode(algorithm="HS384", key=secret))
add("RS512 with the right key", encode(algorithm="RS512", key=keys["RS256"]))
add("PS256 with the right key", encode(algorithm="PS256", key=keys["RS256"]))
add("five parts", ".".join(["e30"] * 5))
print(json.dumps(tokens))
