"""Mistakes people make in guard.yaml, each with the exact text they get. ``{}`` stands for the file."""

LLAMA = "models:\n  m: {license: llama-3.1}\n"

LEDGERS = (
    "an absolute path such as sqlite:///var/lib/guard/ledger.db, optionally with ?synchronous=normal or "
    "?synchronous=full"
)
BESIDE = "as many spaces as the names or items beside it"

MISTAKES = {
    "unknown top-level name": (
        LLAMA + "upstrem: http://x\n",
        (
            "{}:3: upstrem: unknown name; allowed: admin, admin_token_file, default_model, evidence, identity, license, listen, "
            "mode, models, outputs, policies, screening, state_dir, surface, unknown_models, upstream, upstream_ca, "
            "upstream_connections, upstream_timeouts, usage; did you mean 'upstream'?"
        ),
    ),
    "unknown nested name": (
        "models:\n  m:\n    licence: llama-3.1\n",
        "{}:3: models.m.licence: unknown name; allowed: base, license, revision; did you mean 'license'?",
    ),
    "duplicate key": (
        LLAMA + "mode: shadow\nmode: enforce\n",
        "{}:4: mode: the key is there twice; allowed: each key once",
    ),
    "not YAML": ("models: [\n", "{}:2: document: not YAML: did not find expected node content"),
    "a list for a document": (
        "- models\n",
        "{}:1: document: not a mapping; allowed: names and values, such as upstream: URL",
    ),
    "an impossible date": (
        LLAMA + "screening:\n  relax:\n    - {category: S6, owner: o, expires: 2026-02-31, reason: r}\n",
        "{}:5: screening.relax[0].expires: not a value: day is out of range for month",
    ),
    "wrong mode": (
        LLAMA + "mode: enforced\n",
        "{}:3: mode: 'enforced'; allowed: enforce, shadow; did you mean 'enforce'?",
    ),
    "upstream without scheme": (
        LLAMA + "upstream: localhost:8000\n",
        "{}:3: upstream: 'localhost:8000'; allowed: http://HOST[:PORT], https://HOST[:PORT] or unix:///path.sock",
    ),
    "listen without port": (
        LLAMA + "listen: 0.0.0.0\n",
        "{}:3: listen: '0.0.0.0'; allowed: HOST:PORT or unix:///path.sock",
    ),
    "port out of range": (
        LLAMA + "listen: 0.0.0.0:70000\n",
        "{}:3: listen: '0.0.0.0:70000'; allowed: HOST:PORT or unix:///path.sock",
    ),
    "admin beyond loopback": (
        LLAMA + "admin: 0.0.0.0:9090\n",
        "{}:3: admin: '0.0.0.0:9090' is not loopback and has no token; allowed: 127.0.0.1:PORT, or admin_token_file",
    ),
    "admin where clients are": (
        LLAMA + "listen: 127.0.0.1:9090\n",
        "{}:3: listen: '127.0.0.1:9090' is the address of admin too; allowed: an address of its own",
    ),
    "no timeout": (
        LLAMA + "upstream_timeouts: {connect: 0}\n",
        "{}:3: upstream_timeouts.connect: '0'; allowed: a number above 0",
    ),
    "unknown license": (
        "models:\n  m: {license: llama-31}\n",
        "{}:2: models.m.license: unknown license 'llama-31'; allowed: the id of a pack; did you mean 'llama-3.1'?",
    ),
    "unknown license in a stack": (
        "models:\n  m:\n    license:\n      - deepseek-mit\n      - lama-3.1\n",
        "{}:5: models.m.license[1]: unknown license 'lama-3.1'; allowed: the id of a pack; did you mean 'llama-3.1'?",
    ),
    "license of a wrong type": (
        "models:\n  m: {license: 3.1}\n",
        "{}:2: models.m.license: '3.1'; allowed: a license id or a list of license ids",
    ),
    "no license, unknown repository": (
        "models:\n  my-llama: {}\n",
        "{}:2: models.my-llama: no license given, and no pack lists 'my-llama'; allowed: license: ID, or base: REPOSITORY",
    ),
    "no license, unknown base": (
        "models:\n  m:\n    base: org/llama\n",
        "{}:3: models.m.base: no license given, and no pack lists 'org/llama'; allowed: license: ID, or base: REPOSITORY",
    ),
    "unknown top-level license": (
        "license: gema\n",
        "{}:1: license: unknown license 'gema'; allowed: the id of a pack; did you mean 'gemma'?",
    ),
    "nothing to serve": (
        "upstream: http://x\n",
        "{}:1: models: no model can be served; allowed: at least one model, a license, or unknown_models: undetermined",
    ),
    "default model that is none": (
        LLAMA + "default_model: n\n",
        "{}:3: default_model: 'n'; allowed: one of models",
    ),
    "default model and license": (
        LLAMA + "default_model: m\nlicense: gemma\n",
        "{}:3: default_model: default_model together with license; allowed: one of them: both say what an unnamed model is",
    ),
    "unknown source": (
        LLAMA + "identity: {sources: [jwt, header]}\n",
        "{}:3: identity.sources[1]: 'header'; allowed: jwt, trusted_header, api_key, body; did you mean 'trusted_header'?",
    ),
    "network with host bits": (
        LLAMA + "identity: {trusted_from: [10.0.0.1/8]}\n",
        "{}:3: identity.trusted_from[0]: '10.0.0.1/8'; allowed: a network such as 10.0.0.0/8 or fd00::/8, without host bits",
    ),
    "key in clear": (
        LLAMA + "identity:\n  keys:\n    - {name: a, sha256: sk-secret}\n",
        "{}:5: identity.keys[0].sha256: a value that is not shown here; allowed: 64 hexadecimal digits, the SHA-256 of the key",
    ),
    "key without a form": (
        LLAMA + "identity:\n  keys:\n    - {name: a}\n",
        "{}:5: identity.keys[0]: a mapping; allowed: exactly one of sha256, key_env",
    ),
    "key variable not set": (
        LLAMA + "identity:\n  keys:\n    - {name: a, key_env: NOT_SET_HERE}\n",
        "{}:5: identity.keys[0].key_env: environment variable NOT_SET_HERE is not set; allowed: a set variable",
    ),
    "key twice": (
        LLAMA + f"identity:\n  keys:\n    - {{name: a, sha256: {'a' * 64}}}\n    - {{name: b, sha256: {'a' * 64}}}\n",
        "{}:6: identity.keys[1].sha256: the same key is there twice; allowed: each key once",
    ),
    "key name twice": (
        LLAMA + f"identity:\n  keys:\n    - {{name: a, sha256: {'a' * 64}}}\n    - {{name: a, sha256: {'b' * 64}}}\n",
        "{}:6: identity.keys[1].name: 'a' is there twice; allowed: each name once",
    ),
    "purpose without target": (
        LLAMA + f"identity:\n  keys:\n    - {{name: a, sha256: {'a' * 64}, purpose: train}}\n",
        "{}:5: identity.keys[0].purpose: 'train'; allowed: serve, evaluate, train:TARGET, synthetic-data:TARGET or unknown",
    ),
    "jwt algorithm none": (
        LLAMA + "identity:\n  jwt:\n    algorithms: [none]\n    secret_env: S\n",
        (
            "{}:5: identity.jwt.algorithms[0]: 'none'; allowed: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, "
            "ES256, ES384, ES512, EdDSA"
        ),
    ),
    "ledger nobody knows": (
        LLAMA + "usage: {ledger: postgres://x}\n",
        "{}:3: usage.ledger: postgres://x: scheme 'postgres' is unknown; allowed: " + LEDGERS,
    ),
    "ledger of a store that does not exist": (
        LLAMA + "usage: {ledger: 'redis://:hunter2@10.0.0.1/0'}\n",
        "{}:3: usage.ledger: redis://...@10.0.0.1/0: scheme 'redis' is unknown; allowed: " + LEDGERS,
    ),
    "ledger by a relative path": (
        LLAMA + "usage: {ledger: 'sqlite:///rel.db'}\n",
        "{}:3: usage.ledger: sqlite:///rel.db: it is the file /rel.db in the root directory; allowed: " + LEDGERS,
    ),
    "ledger with an option nobody knows": (
        LLAMA + "usage: {ledger: 'sqlite:///var/l.db?synchronous=off'}\n",
        "{}:3: usage.ledger: sqlite:///var/l.db?synchronous=off: option 'synchronous=off' is unknown; allowed: "
        + LEDGERS,
    ),
    "ledger that is no text": (
        LLAMA + "usage: {ledger: 5}\n",
        "{}:3: usage.ledger: '5'; allowed: " + LEDGERS,
    ),
    "a tab": (
        "models:\n\tm: {license: llama-3.1}\n",
        "{}:2: document: a tab; allowed: spaces",
    ),
    "a tab after spaces": (
        "usage:\n  zone: UTC\n\tfsync: true\n",
        "{}:3: document: a tab; allowed: spaces",
    ),
    "too few spaces": (
        "usage:\n  zone: UTC\n fsync: true\n",
        "{}:3: document: the indentation is not that of the lines around it; allowed: " + BESIDE,
    ),
    "too many spaces": (
        "usage:\n  zone: UTC\n    fsync: true\n",
        "{}:3: document: the indentation is not that of the lines around it; allowed: " + BESIDE,
    ),
    "an item beside its list": (
        "policies:\n  - a\n  b: c\n",
        "{}:3: document: the indentation is not that of the lines around it; allowed: " + BESIDE,
    ),
    "a first line that is indented": (
        "  mode: shadow\nusage: {}\n",
        "{}:2: document: the indentation is not that of the lines around it; allowed: " + BESIDE,
    ),
    "two colons": (
        "mode: a: b\n",
        "{}:1: document: not YAML: mapping values are not allowed in this context",
    ),
    "an open brace": (
        "usage: {zone: UTC\nmode: shadow\nlicense: gemma\n",
        "{}:1: document: not YAML: '{' is not closed, or a ',' is missing behind it",
    ),
    "an open quote": (
        "mode: 'shadow\nlicense: gemma\n",
        "{}:1: document: not YAML: the quote is not closed",
    ),
    "zone": (
        LLAMA + "usage: {zone: Mars/Olympus}\n",
        "{}:3: usage.zone: unknown time zone 'Mars/Olympus'; allowed: an IANA name such as UTC or Europe/Berlin",
    ),
    "limit above the license's": (
        LLAMA + "usage:\n  limits:\n    llama-3.1: 800000000\n",
        "{}:5: usage.limits.llama-3.1: 800000000; allowed: at most 700000000, by Llama 3.1 Community License clause 2",
    ),
    "limit for an unknown license": (
        LLAMA + "usage:\n  limits:\n    llama-31: 5\n",
        "{}:5: usage.limits.llama-31: unknown license 'llama-31'; allowed: the id of a pack; did you mean 'llama-3.1'?",
    ),
    "limit no model is under": (
        LLAMA + "usage:\n  limits:\n    qwen-2024: 5\n",
        (
            "{}:5: usage.limits.qwen-2024: a limit for 'qwen-2024', but no model is under it; "
            "allowed: a license of a configured model"
        ),
    ),
    "limit without a threshold": (
        "models:\n  m: {license: gemma}\nusage:\n  limits:\n    gemma: 5\n",
        (
            "{}:5: usage.limits.gemma: a limit for 'gemma', which has no threshold on monthly active users; "
            "allowed: a license that has one"
        ),
    ),
    "limit of nobody": (
        LLAMA + "usage:\n  limits:\n    llama-3.1: 0\n",
        "{}:5: usage.limits.llama-3.1: '0'; allowed: a number above 0",
    ),
    "looser without an owner": (
        LLAMA + "screening:\n  actions:\n    S9: flag\n",
        (
            "{}:5: screening.actions.S9: 'flag' is looser than license llama-3.1 for m (AUP 2.a); "
            "allowed: block, or an entry in screening.relax with owner, expires and reason"
        ),
    ),
    "relax without owner": (
        LLAMA + "screening:\n  actions: {S9: flag}\n  relax:\n    - {category: S9, expires: 2030-01-01, reason: r}\n",
        "{}:6: screening.relax[0].owner: missing; allowed: a value is required here",
    ),
    "relax without an action": (
        LLAMA + "screening:\n  relax:\n    - {category: S9, owner: o, expires: 2030-01-01, reason: r}\n",
        (
            "{}:5: screening.relax[0].category: 'S9' is relaxed, but screening.actions says nothing about it; "
            "allowed: a category of screening.actions"
        ),
    ),
    "unknown category": (
        LLAMA + "screening:\n  actions:\n    S99: block\n",
        "{}:5: screening.actions.S99: 'S99'; allowed: S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14, HR, D1; did you mean 'S9'?",
    ),
    "unknown action": (
        LLAMA + "screening:\n  actions:\n    S9: deny\n",
        "{}:5: screening.actions.S9: 'deny'; allowed: block, flag, log or off",
    ),
    "rule file that is not there": (
        LLAMA + "screening: {rules: [none.yaml]}\n",
        "none.yaml:1: document: cannot be read: No such file or directory",
    ),
    "directory of packs that is not there": (
        LLAMA + "policies: [nowhere]\n",
        "nowhere:1: document: cannot be read: no such directory; allowed: a directory of packs",
    ),
    "clamp without a number": (
        LLAMA + "outputs:\n  fields:\n    samples: {clamp: many}\n",
        "{}:5: outputs.fields.samples: a mapping; allowed: allow, deny, strip or {clamp: N}",
    ),
    "unknown capability": (
        LLAMA + "outputs:\n  fields:\n    logprob: deny\n",
        (
            "{}:5: outputs.fields.logprob: 'logprob'; allowed: logprobs, prompt_logprobs, logprob_token_ids, token_ids, echo, "
            "samples, logit_bias, guided, prompt_embeds, kv_transfer, routed_experts, chat_template, stored, extra_args, "
            "watermark_opt_out, prefill, length, caller_ids; did you mean 'logprobs'?"
        ),
    ),
    "unknown surface": (
        LLAMA + "surface: {enabled: [embedding]}\n",
        (
            "{}:3: surface.enabled[0]: 'embedding'; allowed: batch, embeddings, pooling, score, rerank, classify, tokenize, "
            "detokenize, metrics; did you mean 'embeddings'?"
        ),
    ),
}
