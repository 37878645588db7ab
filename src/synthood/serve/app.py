"""The server's addresses."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from synthood import __version__
from synthood.deploy.runtime import Runtime
from synthood.errors import SynthoodError
from synthood.serve.answers import EXAMPLE, SEVERAL, Answer, Answers, Asked, Described, Problem, answer, described
from synthood.serve.bodies import FORM, RAW, Bodies
from synthood.serve.engine import Bad, Engine, Verdict, refused
from synthood.serve.metrics import TYPE, Metrics
from synthood.serve.options import ServeOptions
from synthood.serve.refusals import RefusalError
from synthood.serve.requests import Requests

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Files of the web page; nothing else is ever read for a request."""
REASONS = {
    400: "The body is empty, or no form.",
    408: "The body came too slowly.",
    413: "Too many bytes or images.",
    415: "The body's type or encoding is none that is read.",
    422: "No image could be read, or a parameter is wrong.",
    503: "Too much is under way, or it took too long; try again.",
}
BINARY = {"type": "string", "format": "binary"}


def build(detector: Runtime, options: ServeOptions) -> ASGIApp:
    """The application of one detector."""
    metrics = Metrics()
    engine, bodies = Engine(detector, options, metrics), Bodies(options, metrics)

    engine.warm()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.close()

    app = FastAPI(
        title="synthood: an image classifier that rejects unknown images",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_exception_handler(RefusalError, refusal)
    app.add_exception_handler(SynthoodError, mistake)
    app.add_exception_handler(RequestValidationError, wrong_parameter)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(Exception, failure)
    add_images(app, detector, engine, bodies, metrics)
    add_state(app, detector, options, engine, metrics)
    add_page(app)
    found: ASGIApp = app
    if options.allow_origin:
        found = CORSMiddleware(app, options.allow_origin, allow_methods=["GET", "POST"], allow_headers=["content-type"])
    return Requests(found, metrics)


def add_images(app: FastAPI, detector: Runtime, engine: Engine, bodies: Bodies, metrics: Metrics) -> None:
    """What judges images."""

    async def verdicts(request: Request, read: Callable[[Request], Any]) -> list[Verdict]:
        try:
            contents: Sequence[bytes] = await read(request)
            began = time.perf_counter()
            found = await engine.verdicts(contents)
        finally:
            bodies.release(request)
        request.state.facts |= {"images": len(contents), "bytes": request.state.held}
        request.state.facts["waited"] = round(time.perf_counter() - began, 4)
        return found

    def counted(request: Request, found: list[dict[str, Any]]) -> None:
        decisions = [one.get("decision", "unreadable") for one in found]
        for decision in decisions:
            metrics.images.labels(decision).inc()
        request.state.facts |= {name: decisions.count(name) for name in ("unknown", "unreadable")}

    @app.post(
        "/v1/image",
        summary="Judge one image",
        response_model=Answer,
        responses=documented(EXAMPLE, *REASONS),
        openapi_extra=body({RAW: {"schema": BINARY}, "image/*": {"schema": BINARY}, FORM: form("image", BINARY)}),
    )
    async def one_image(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """The body is an image's bytes, or a form with one part. JPEG, PNG, WebP and other formats are read."""
        level = detector.calibration.level(asked.level)

        async def read(request: Request) -> list[bytes]:
            return [await bodies.one(request)]

        (found,) = await verdicts(request, read)
        said = answer(found, detector.classes, level, asked.top)
        counted(request, [said])
        if isinstance(found, Bad):
            raise refused(found)
        return JSONResponse(said)

    @app.post(
        "/v1/images",
        summary="Judge several images",
        response_model=Answers,
        responses=documented(SEVERAL, *REASONS),
        openapi_extra=body({FORM: form("images", {"type": "array", "items": BINARY, "minItems": 1})}),
    )
    async def several_images(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """Every part of the form is an image, whatever its name. Those that cannot be read have a reason instead of a
        verdict; where that is all of them, the status is 422."""
        level = detector.calibration.level(asked.level)
        found = await verdicts(request, bodies.several)
        said = [answer(one, detector.classes, level, asked.top) for one in found]
        counted(request, said)
        if all(isinstance(one, Bad) for one in found):
            raise RefusalError(422, f"none of {len(said)} images is readable; the first: {said[0]['error']}")
        return JSONResponse({"images": said})


def add_state(app: FastAPI, detector: Runtime, options: ServeOptions, engine: Engine, metrics: Metrics) -> None:
    """Health, readiness, metrics and facts of the detector."""
    limits = {name: getattr(options, name) for name in ("max_bytes", "max_pixels", "max_images")}

    @app.get("/v1/detector", summary="The detector, its test histograms and the limits", response_model=Described)
    async def facts() -> Response:
        return JSONResponse(described(detector, limits))

    @app.get("/healthz", summary="Whether the process answers", response_model=dict[str, str])
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get(
        "/readyz",
        summary="Whether images are taken",
        response_model=dict[str, str],
        responses=documented({"status": "ready"}, 503),
    )
    async def ready() -> Response:
        if not engine.ready or engine.accepted >= options.queue:
            raise RefusalError(503, "no more images are taken for now")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Counters for Prometheus", responses={200: {"content": {"text/plain": {}}}})
    async def counters() -> Response:
        return Response(metrics.text(), headers={"content-type": TYPE})


def add_page(app: FastAPI) -> None:
    """The web page, read once."""

    def add(path: str, content: bytes, kind: str) -> None:
        async def file() -> Response:
            return Response(content, headers={"content-type": kind, "cache-control": "no-cache"})

        app.add_api_route(path, file, include_in_schema=False)

    for path, (name, kind) in PAGE.items():
        add(path, (resources.files("synthood.serve") / "page" / name).read_bytes(), kind)


def documented(example: Any, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """An example of the answer, and the refusals of an address."""
    good: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": example}}}}
    return good | {status: {"model": Problem, "description": REASONS[status]} for status in statuses}


def body(content: dict[str, Any]) -> dict[str, Any]:
    """Of a request, by its types."""
    return {"requestBody": {"required": True, "content": content}}


def form(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """With one key."""
    return {"schema": {"type": "object", "required": [name], "properties": {name: schema}}}


def problem(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": reason}, status, headers)


async def refusal(_: Request, error: Any) -> Response:
    return problem(error.status, error.reason, error.headers)


async def mistake(_: Request, error: Any) -> Response:
    return problem(422, str(error))


async def wrong_parameter(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    return problem(422, f"parameter {'.'.join(map(str, first['loc'][1:]))}: {first['msg']}")


async def of_framework(_: Request, error: Any) -> Response:
    return problem(error.status_code, str(error.detail), error.headers)


async def failure(_: Request, error: Any) -> Response:
    return problem(500, "an error of the server; its log has more")
