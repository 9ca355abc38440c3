// A merchant's server in JavaScript: signs calls with http-message-signatures, and checks the answers.
//
// Reads a private key of each algorithm and the id of its public half from a folder, calls with each, and
// prints a line for each thing that went as it has to. Arguments: the URL, the folder.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { createSigner, createVerifier, httpbis } = require("http-message-signatures");

const [url, folder] = process.argv.slice(2);

const ALGORITHMS = ["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256"];

// Either way to name the target is accepted.
const TARGETS = [["@target-uri"], ["@authority", "@path", "@query"]];

const digest = (body) => `sha-256=:${crypto.createHash("sha256").update(body).digest("base64")}:`;

async function send(request, body) {
  const { method, headers } = request;
  const signal = AbortSignal.timeout(30000);
  const response = await fetch(request.url, { method, headers, body, signal });
  const status = response.status;
  return { status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

// The center's key, as it tells everybody.
async function published() {
  const where = new URL("/.well-known/payhall-keys", url);
  const { keys } = await (await fetch(where)).json();
  assert.equal(keys.length, 1);
  return keys[0];
}

async function call(name) {
  const keyid = fs.readFileSync(path.join(folder, `${name}.key-id`), "utf8");
  const privateKey = crypto.createPrivateKey(fs.readFileSync(path.join(folder, `${name}.pem`)));
  const center = await published();
  const verify = createVerifier(crypto.createPublicKey(center.publicKey), center.algorithm);
  const keyLookup = async (params) =>
    params.keyid === center.keyId ? { id: params.keyid, algs: [center.algorithm], verify } : null;
  for (const [number, target] of TARGETS.entries()) {
    const body = JSON.stringify({ query: "{ serverInfo { caller } }" });
    const headers = { "Content-Type": "application/json", "Content-Digest": digest(body) };
    const request = await httpbis.signMessage(
      {
        key: createSigner(privateKey, name, keyid),
        fields: ["@method", ...target, "content-type", "content-digest"],
        params: ["created", "nonce", "keyid", "alg"],
        paramValues: { nonce: crypto.randomUUID() },
      },
      { method: "POST", url: `${url}?call=${number}`, headers },
    );
    let response = await send(request, body);
    assert.equal(response.status, 200, response.body);
    const { serverInfo } = JSON.parse(response.body).data;
    assert.deepEqual(serverInfo, { caller: "merchant:portal" });
    const config = { keyLookup, requiredFields: ["@status", "content-digest", "signature"] };
    assert.equal(await httpbis.verifyMessage(config, response, request), true);
    assert.equal(response.headers["content-digest"], digest(response.body));
    console.log(name, "accepted", number);

    response.status = 201;
    assert.equal(await httpbis.verifyMessage(config, response, request), false);
    response = await send(request, body.replace("a", "b"));
    assert.equal(response.status, 401, response.body);
    const [error] = JSON.parse(response.body).errors;
    assert.equal(error.extensions.reason, "CONTENT_DIGEST_MISMATCH");
    console.log(name, "refused", number);
  }
}

(async () => {
  for (const name of ALGORITHMS) {
    await call(name);
  }
})();
