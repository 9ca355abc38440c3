"""A merchant's server in Python: signs calls with http-message-signatures, and checks the answers.

Reads a private key of each algorithm and the id of its public half from a folder, calls with each, and
prints a line for each thing that went as it has to. Arguments: the URL, the folder.
"""

import http.client
import json
import pathlib
import secrets
import sys
import urllib.parse
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)

URL, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])

ALGORITHMS = {
    "ed25519": algorithms.ED25519,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
}

# Either way to name the target is accepted.
TARGETS = [("@target-uri",), ("@authority", "@path", "@query")]


@dataclass
class Request:
    url: str
    body: bytes
    method: str = "POST"
    headers: dict = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass
class Response:
    status_code: int
    headers: dict
    body: bytes
    request: Request


def send(request):
    parts = urllib.parse.urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    target = parts.path + ("?" + parts.query if parts.query else "")
    connection.request(request.method, target, request.body, request.headers)
    answer = connection.getresponse()
    response = Response(answer.status, dict(answer.getheaders()), answer.read(), request)
    connection.close()
    return response


def published():
    """The center's key, as it tells everybody."""
    where = urllib.parse.urljoin(URL, "/.well-known/payhall-keys")
    response = send(Request(where, None, "GET", {}))
    [key] = json.loads(response.body)["keys"]
    assert key["algorithm"] == "ed25519", key
    return {key["keyId"]: key["publicKey"].encode()}


def call(name, algorithm):
    key_id = (FOLDER / f"{name}.key-id").read_text()
    pem = (FOLDER / f"{name}.pem").read_bytes()
    pair = serialization.load_pem_private_key(pem, None)
    keys = MappingKeyResolver(public_keys=published(), private_keys={key_id: pair})
    signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=keys)
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=keys)
    for number, target in enumerate(TARGETS):
        request = Request(f"{URL}?call={number}", json.dumps({"query": "{ serverInfo { caller } }"}).encode())
        signer.sign(
            request,
            key_id=key_id,
            nonce=secrets.token_hex(16),
            covered_component_ids=("@method", *target, "content-type"),
            body=request.body,
        )
        response = send(request)
        assert response.status_code == 200, response.body
        assert json.loads(response.body) == {"data": {"serverInfo": {"caller": "merchant:portal"}}}
        covers = ("@status", "content-digest", '"signature";req;key="pyhms"')
        verifier.verify(response, require_components=covers, body=response.body)
        print(name, "accepted", number)

        response.status_code = 201
        try:
            verifier.verify(response, body=response.body)
            raise SystemExit("an answer of another status was taken")
        except InvalidSignature:
            pass
        request.body = request.body.replace(b"a", b"b")
        response = send(request)
        assert response.status_code == 401, response.body
        [error] = json.loads(response.body)["errors"]
        assert error["extensions"]["reason"] == "CONTENT_DIGEST_MISMATCH", response.body
        print(name, "refused", number)


for name, algorithm in ALGORITHMS.items():
    call(name, algorithm)
