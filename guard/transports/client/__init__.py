"""The client port: HTTP/1.1 on asyncio protocols, under the ASGI contract."""
