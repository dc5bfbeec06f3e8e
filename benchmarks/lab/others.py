"""Nothing at all, proxies and gateways: what Guard is compared with."""

import json

from peers.install import installed, version

from lab.machine import PROXY_CORE
from lab.system import System, free_port
from lab.texts import SHARED


class Direct(System):
    """No proxy: what is measured is the stub itself."""

    needed = True

    def __init__(self):
        super().__init__("direct", "none")

    def start(self, folder, upstream, core=PROXY_CORE):  # noqa: ARG002 - the stub is up
        """Nothing is to be started."""
        self.port = upstream

    def freeze(self):
        """Every other system needs it."""

    thaw = freeze


class Nginx(System):
    """nginx as a proxy that buffers nothing."""

    needed = True

    def __init__(self):
        super().__init__("nginx", "nginx")

    def version(self):
        """Return Debian's version."""
        return version("nginx")

    def command(self, folder, upstream):
        """One worker, kept connections on both sides."""
        program = installed("nginx")
        own = "".join(f" {kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        conf = folder / "nginx.conf"
        conf.write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error warn;\n"
            "events { worker_connections 8192; }\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body;{own}\n"
            "  keepalive_requests 1000000000; client_body_buffer_size 128k; client_max_body_size 8m;\n"
            f"  upstream behind {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000000; }}\n"
            f"  server {{ listen 127.0.0.1:{self.port} backlog=4096; location / {{ proxy_pass http://behind;\n"
            '    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; } } }\n'
        )
        return [program, "-p", folder, "-c", conf]


class Haproxy(System):
    """HAProxy in HTTP mode."""

    def __init__(self):
        super().__init__("haproxy", "HAProxy")

    def version(self):
        """Return Debian's version."""
        return version("haproxy")

    def command(self, folder, upstream):
        """One thread, kept connections on both sides."""
        program = installed("haproxy")
        conf = folder / "haproxy.cfg"
        conf.write_text(
            "global\n  nbthread 1\n  maxconn 8192\n"
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
            "  http-reuse always\n  option http-no-delay\n"
            f"frontend front\n  bind 127.0.0.1:{self.port} backlog 4096\n  default_backend behind\n"
            f"backend behind\n  server stub 127.0.0.1:{upstream} pool-max-conn 2048\n"
        )
        return [program, "-db", "-f", conf]


class VllmRouter(System):
    """The router of the vLLM project, in Rust: it screens nothing."""

    def __init__(self):
        super().__init__("vllm_router", "vllm-router")

    def version(self):
        """Return the pinned version."""
        return version("vllm-router")

    def command(self, folder, upstream):  # noqa: ARG002 - it has no files
        """Round robin over one worker."""
        router = installed("vllm-router") / "vllm-router"
        where = ["--host", "127.0.0.1", "--port", self.port, "--worker-urls", f"http://127.0.0.1:{upstream}"]
        return [router, *where, "--policy", "round_robin", "--prometheus-port", free_port(), "--log-level", "error"]


class Portkey(System):
    """Portkey's gateway, in JavaScript."""

    every = 2

    def __init__(self):
        super().__init__("portkey", "Portkey gateway")

    def version(self):
        """Return the pinned version."""
        return version("portkey")

    def command(self, folder, upstream):
        """It is told by headers where to go. Node 20 makes answers of fetch immutable, which it does not expect."""
        home = installed("portkey") / "node_modules" / "@portkey-ai" / "gateway"
        shim = folder / "shim.mjs"
        shim.write_text(
            "const asked = globalThis.fetch;\n"
            "globalThis.fetch = async (...all) => { const answer = await asked(...all);\n"
            "  return new Response(answer.body, { status: answer.status, headers: answer.headers }); };\n"
        )
        self.headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1",
                        "Authorization: Bearer bench")  # fmt: skip
        return ["node", "--import", shim, home / "build" / "start-server.js", f"--port={self.port}", "--headless"]

    def environment(self):
        """As it is deployed."""
        return {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "localhost,127.0.0.1"}


class LiteLLM(System):
    """LiteLLM's proxy without database, plain or with its own content filter on the 500 patterns."""

    every = 2

    def __init__(self, name, label, *, filtered):
        super().__init__(name, label)
        self.filtered = filtered
        self.rate, self.streams = (10, 1) if filtered else (25, 4)

    def version(self):
        """Return the pinned version."""
        return version("litellm-proxy")

    def command(self, folder, upstream):
        """Every model goes to the one upstream."""
        program = installed("litellm-proxy") / "litellm"
        where = {"api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "bench"}
        models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", **where}}
                  for name in ("bench", "bench-paced")]  # fmt: skip
        config = {
            "model_list": models,
            "litellm_settings": {"telemetry": False, "num_retries": 0},
            "general_settings": {"disable_spend_logs": True},
        }
        if self.filtered:
            phrases, expressions = SHARED
            config["guardrails"] = [{
                "guardrail_name": "bench",
                "litellm_params": {
                    "guardrail": "litellm_content_filter", "mode": ["pre_call", "post_call"], "default_on": True,
                    "patterns": [{"pattern_type": "regex", "name": f"p{number}", "pattern": each, "action": "BLOCK"}
                                 for number, each in enumerate(expressions)],
                    "blocked_words": [{"keyword": each, "action": "BLOCK"} for each in phrases],
                },
            }]  # fmt: skip
        path = folder / "litellm.yaml"
        path.write_text(json.dumps(config, indent=1))  # JSON is YAML
        return [program, "--config", path, "--host", "127.0.0.1", "--port", self.port, "--num_workers", 1]

    def environment(self):
        """It fetches no price list, and may be asked without a key."""
        return {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
