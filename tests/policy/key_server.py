"""An issuer's HTTP server on loopback, real keys, and the tokens they sign."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(key, kid):
    """The public half of ``key`` as an entry of a key set."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": "ES256"}
    return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": "RS256"}


def key_set(**keys):
    """A JSON Web Key Set of private keys by kid."""
    return json.dumps({"keys": [jwk(key, kid) for kid, key in keys.items()]}).encode()


def signed(key, kid, **claims):
    """A token of ``ann``, an hour long."""
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
    return jwt.encode({"sub": "ann", "exp": time.time() + 3600, **claims}, key, algorithm, headers={"kid": kid})


class KeyServer:
    """Serves ``body`` with ``status`` at ``url``, and remembers how often it was asked."""

    def __init__(self):
        self.body, self.status, self.headers, self.asked, self.delay = b"", 200, {}, 0, 0.0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked += 1
                time.sleep(server.delay)
                self.send_response(server.status)
                for name, value in {"content-length": str(len(server.body)), **server.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/keys"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self):
        """Stop serving; from now on nobody answers at ``url``."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)
