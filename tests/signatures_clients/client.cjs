// A merchant's server in JavaScript: signs calls with http-message-signatures, and checks the answers.
//
// Makes a key pair of each algorithm, writes the public halves into a folder, calls with each, and
// prints a line for each thing that went as it has to. Arguments: the URL, the folder.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { createSigner, createVerifier, httpbis } = require("http-message-signatures");

const [url, folder] = process.argv.slice(2);

const ALGORITHMS = {
  "ed25519": ["ed25519", {}],
  "ecdsa-p256-sha256": ["ec", { namedCurve: "P-256" }],
  "rsa-pss-sha512": ["rsa", { modulusLength: 2048 }],
  "rsa-v1_5-sha256": ["rsa", { modulusLength: 2048 }],
};

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

async function call(name, [type, options]) {
  const { publicKey, privateKey } = crypto.generateKeyPairSync(type, options);
  const keyid = `node-${name}`;
  const pem = publicKey.export({ type: "spki", format: "pem" });
  fs.writeFileSync(path.join(folder, `${keyid}.pem`), pem);
  const center = fs.readFileSync(path.join(folder, `center-${name}.pem`));
  const verify = createVerifier(crypto.createPublicKey(center), name);
  const keyLookup = async (params) =>
    params.keyid === `center-${name}` ? { id: params.keyid, algs: [name], verify } : null;
  for (const [number, target] of TARGETS.entries()) {
    const body = JSON.stringify({ query: "{ a }" });
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
    assert.deepEqual(JSON.parse(response.body), { accepted: keyid });
    const config = { keyLookup, requiredFields: ["@status", "content-digest", "signature"] };
    assert.equal(await httpbis.verifyMessage(config, response, request), true);
    assert.equal(response.headers["content-digest"], digest(response.body));
    console.log(name, "accepted", number);

    response.status = 201;
    assert.equal(await httpbis.verifyMessage(config, response, request), false);
    response = await send(request, body.replace("a", "b"));
    assert.equal(response.status, 401, response.body);
    assert.equal(JSON.parse(response.body).code, "CONTENT_DIGEST_MISMATCH");
    console.log(name, "refused", number);
  }
}

(async () => {
  for (const [name, kind] of Object.entries(ALGORITHMS)) {
    await call(name, kind);
  }
})();
