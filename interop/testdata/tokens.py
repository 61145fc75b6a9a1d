# Makes keys and tokens with PyJWT: jwks.json and ec.pem into a folder, and a
# line "name token" each.
#   python3 tokens.py FOLDER
import base64
import hashlib
import hmac
import json
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

folder = sys.argv[1]
r, o, e = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
other = rsa.generate_private_key(65537, 2048)
keys = []
for algorithm, key, kid in ((RSAAlgorithm, r, "r"), (OKPAlgorithm, o, "o")):
    jwk = algorithm.to_jwk(key.public_key())
    keys.append({**(json.loads(jwk) if isinstance(jwk, str) else jwk), "kid": kid})
pem = e.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
with open(folder + "/jwks.json", "w") as f:
    json.dump({"keys": keys}, f)
with open(folder + "/ec.pem", "wb") as f:
    f.write(pem)

now = int(time.time())
claims = {
    "sub": "alice", "iss": "https://login.test", "aud": ["mqtt", "web"], "exp": now + 3600,
    "publish": ["home/%u/#"], "subscribe": ["home/#"],
}


def say(name, key, algorithm, kid=None, **changed):
    body = {k: v for k, v in {**claims, **changed}.items() if v is not None}
    print(name, jwt.encode(body, key, algorithm=algorithm, headers={"kid": kid} if kid else None))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


say("RS256", r, "RS256", "r")
say("EdDSA", o, "EdDSA", "o")
say("ES256", e, "ES256")
say("brief", r, "RS256", "r", exp=now + 8)
say("bad-expired", r, "RS256", "r", exp=now - 3600)
say("bad-early", r, "RS256", "r", nbf=now + 3600)
say("bad-endless", r, "RS256", "r", exp=None)
say("bad-audience", r, "RS256", "r", aud="web")
say("bad-issuer", r, "RS256", "r", iss="https://login.example")
say("bad-stranger", other, "RS256", "r")
say("bad-algorithm", r, "PS256", "r")
say("bad-none", None, "none")
say("bad-user", r, "RS256", "r", sub="bob")
# The public key as if it were a secret, which PyJWT will not do.
head = b64(json.dumps({"typ": "JWT", "alg": "HS256"}).encode()) + b"." + b64(json.dumps(claims).encode())
print("bad-confused", (head + b"." + b64(hmac.new(pem, head, hashlib.sha256).digest())).decode())
