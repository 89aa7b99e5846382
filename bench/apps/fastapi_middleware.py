"""The same app with what teams put into it by hand: slowapi, CORS, GZip, headers, metrics, PyJWT, a JSON log."""

import json
import logging
import os
import sys
import time
import uuid

import jwt
from fastapi import FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from slowapi.extension import _rate_limit_exceeded_handler
from slowapi.middleware import SlowAPIMiddleware
from starlette.middleware.base import BaseHTTPMiddleware

from fastapi_bare import ROWS

SECRET = os.environ["JWT_SECRET"]
log = logging.getLogger("access")
log.addHandler(logging.StreamHandler(sys.stdout))
log.setLevel(logging.INFO)


def user(request: Request):
    """The subject of the bearer token, which is the key of the limit."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        return jwt.decode(token, SECRET, algorithms=["HS256"])["sub"] if scheme == "Bearer" else None
    except jwt.PyJWTError:
        return None


class Headers(BaseHTTPMiddleware):
    """Security headers, a request id, who asks, and a line of JSON."""

    async def dispatch(self, request, call_next):
        began, number = time.perf_counter(), uuid.uuid4().hex
        request.state.user = user(request)
        if request.url.path.startswith("/api") and request.state.user is None:
            raise HTTPException(401)
        response = await call_next(request)
        response.headers["X-Request-Id"] = number
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
        response.headers["Content-Security-Policy"] = "default-src 'self'; object-src 'none'; base-uri 'self'"
        log.info(json.dumps({"time": time.time(), "client": request.client.host, "method": request.method,
                             "uri": request.url.path, "status": response.status_code, "user": request.state.user,
                             "seconds": time.perf_counter() - began, "request_id": number}))
        return response


limiter = Limiter(key_func=lambda request: request.state.user or request.client.host, default_limits=["1000000/second"])
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
app.add_middleware(SlowAPIMiddleware)
app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=6)
app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"])
app.add_middleware(Headers)
Instrumentator().instrument(app).expose(app)


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/api/items")
async def items(request: Request):
    return ROWS
