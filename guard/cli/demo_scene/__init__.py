"""The demo's parts: an embedded upstream, a deployment of Guard before it, and the scene that is played."""
