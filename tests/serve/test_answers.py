"""What a server answers is what Python's `predict` gives; concurrent images share passes; limits hold."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import synthood
from servers import FORM, Running, exported, form, noise, png, running
from synthood.deploy.predictor import Predictor
from synthood.errors import SynthoodError
from synthood.serve.options import ServeOptions
from toy_models import CLASSES, pictures


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("served") / "detector"
    exported(folder)
    return synthood.load(folder)


@pytest.fixture(scope="module")
def server(predictor: Predictor) -> Iterator[Running]:
    with running(predictor, threads=1) as found:
        yield found


IMAGES = [*pictures(9, 7).images, *noise(5, 20)]


def test_verdicts_are_those_of_predict(server: Running, predictor: Predictor) -> None:
    table = predictor.predict(IMAGES)
    assert 0 < table["is_ood"].sum() < len(table)
    several = server.ask("POST", "/v1/images", form(*map(png, IMAGES)), FORM)
    assert several.status == 200
    for image, together, (_, row) in zip(IMAGES, several.json["images"], table.iterrows(), strict=True):
        alone = server.ask("POST", "/v1/image", png(image))
        assert alone.status == 200
        for found in (alone.json, together):
            assert found["label"] == row["label"]
            assert found["is_ood"] is bool(row["is_ood"])
            assert found["decision"] == ("unknown" if row["is_ood"] else "known")
            assert found["note"] == row["note"]
            assert found["level"] == 0.05
            # Last bits of a network's outputs depend on the batch
            assert found["confidence"] == pytest.approx(row["confidence"], rel=1e-4)
            assert found["probability"] == pytest.approx(row["probability"], rel=1e-4)
            assert found["p_value"] == pytest.approx(row["p_value"], abs=1 / 100)
            assert [one["label"] for one in found["top"]] == sorted(
                CLASSES, key=lambda name: -next(one["probability"] for one in found["top"] if one["label"] == name)
            )
            assert sum(one["probability"] for one in found["top"]) == pytest.approx(1, abs=1e-5)


def test_one_image_may_come_as_a_form(server: Running) -> None:
    raw = server.ask("POST", "/v1/image", png(IMAGES[0])).json
    assert server.ask("POST", "/v1/image", form(png(IMAGES[0])), FORM).json == raw
    assert server.ask("POST", "/v1/image", png(IMAGES[0]), "application/octet-stream").json == raw


def test_level_and_top(server: Running, predictor: Predictor) -> None:
    found = server.ask("POST", "/v1/image?level=0.1&top=1", png(IMAGES[-1])).json
    assert found["level"] == 0.1
    assert len(found["top"]) == 1
    for query, why in (
        ("level=0.07", "level 0.07: this detector was exported for 0.05, 0.1"),
        ("level=high", "parameter level: Input should be a valid number"),
        ("levle=0.1", "parameter levle: Extra inputs are not permitted"),
        ("top=0", "parameter top: Input should be greater than or equal to 1"),
    ):
        refused = server.ask("POST", f"/v1/image?{query}", png(IMAGES[0]))
        assert refused.status == 422
        assert refused.json["error"].startswith(why)


def test_an_unreadable_image_among_others_has_a_reason(server: Running) -> None:
    found = server.ask("POST", "/v1/images", form(png(IMAGES[0]), b"text", png(IMAGES[1])[:200]), FORM)
    assert found.status == 200
    first, second, third = found.json["images"]
    assert first["label"] in CLASSES
    assert second == {"error": "not an image file"}
    assert third["error"].startswith("truncated or damaged")
    none = server.ask("POST", "/v1/images", form(b"text", b""), FORM)
    assert none.status == 422
    assert none.json == {"error": "none of 2 images is readable; the first: not an image file"}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Holds up forward passes: set when one has begun, and to be set to let them go on."""
    begun, opened, inner = threading.Event(), threading.Event(), Predictor.features

    def held(self: Predictor, images: np.ndarray) -> object:
        begun.set()
        opened.wait(60)
        return inner(self, images)

    opened.set()
    monkeypatch.setattr(Predictor, "features", held)
    yield begun, opened
    opened.set()


def test_concurrent_images_share_passes(
    predictor: Predictor, gate: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first pass is held up, others gather for the next ones."""
    begun, opened = gate
    sizes, inner = list[int](), Predictor.features

    def noted(self: Predictor, images: np.ndarray) -> object:
        sizes.append(len(images))
        return inner(self, images)

    with running(predictor, batch=4, threads=1) as server, ThreadPoolExecutor(7) as pool:
        monkeypatch.setattr(Predictor, "features", noted)
        opened.clear()
        begun.clear()
        first = pool.submit(server.ask, "POST", "/v1/image", png(IMAGES[0]))
        begun.wait(60)
        others = [pool.submit(server.ask, "POST", "/v1/image", png(image)) for image in IMAGES[1:7]]
        while server.metric("synthood_images_decoded") < 6:
            time.sleep(0.01)
        opened.set()
        assert [one.result().status for one in (first, *others)] == [200] * 7
    assert sizes == [1, 4, 2]
    for one, image in zip(others, IMAGES[1:7], strict=True):
        assert one.result().json["label"] == predictor.predict([image])["label"][0]


def test_one_failing_image_does_not_spoil_its_batch(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Predictor.judged

    def failing(self: Predictor, features: object) -> object:
        judged = inner(self, features)  # type: ignore[arg-type]
        if (judged.p_values < 0.02).any():
            raise SynthoodError("the detector gives 1 images a confidence that is not finite; it is broken")
        return judged

    monkeypatch.setattr(Predictor, "judged", failing)
    found = server.ask("POST", "/v1/images", form(png(IMAGES[0]), png(IMAGES[-1])), FORM)
    assert found.status == 200
    assert found.json["images"][0]["label"] in CLASSES
    assert found.json["images"][1]["error"].endswith("it is broken")


def test_an_error_of_the_code_is_logged_and_answered(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Predictor, features: object) -> object:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Predictor, "judged", broken)
    found = server.ask("POST", "/v1/image", png(IMAGES[0]))
    assert found.status == 500
    assert found.json == {"error": "an error of the server; its log has more"}
    assert "by zero" in caplog.text


def test_too_many_images_wait(predictor: Predictor, gate: tuple[threading.Event, threading.Event]) -> None:
    begun, opened = gate
    with running(predictor, queue=3, max_images=3, threads=1) as server, ThreadPoolExecutor(1) as pool:
        opened.clear()
        begun.clear()
        two = form(*map(png, IMAGES[:2]))
        first = pool.submit(server.ask, "POST", "/v1/images", two, FORM)
        begun.wait(60)
        full = server.ask("POST", "/v1/images", two, FORM)
        opened.set()
        assert full.status == 503
        assert full.headers["Retry-After"] == "1"
        assert full.json == {"error": "2 images wait already, of 3 at most; try again"}
        assert first.result().status == 200
        assert server.ask("POST", "/v1/images", two, FORM).status == 200


def test_an_answer_that_takes_too_long(predictor: Predictor, gate: tuple[threading.Event, threading.Event]) -> None:
    _, opened = gate
    with running(predictor, timeout=0.2) as server:
        opened.clear()
        found = server.ask("POST", "/v1/image", png(IMAGES[0]))
        opened.set()
        assert found.status == 503
        assert found.json == {"error": "no answer within 0.2 s; try again"}
        assert server.metric("synthood_images_waiting") == 0


def test_state_and_description(server: Running, predictor: Predictor) -> None:
    assert server.ask("GET", "/healthz").json == {"status": "ok"}
    assert server.ask("GET", "/readyz").json == {"status": "ready"}
    facts = server.ask("GET", "/v1/detector").json
    assert facts["classes"] == CLASSES
    assert facts["levels"] == [0.05, 0.1]
    assert facts["histograms"] == json.loads(json.dumps(predictor.facts["histograms"]))
    assert [name for name, _ in facts["histograms"]["counts"]] == ["ID test", "noise"]
    assert sum(facts["histograms"]["counts"][0][1]) == facts["id_images"] == 90
    described = server.ask("GET", "/openapi.json").json
    assert set(described["paths"]) == {
        "/v1/image",
        "/v1/images",
        "/v1/detector",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path in ("/v1/image", "/v1/images"):
        good = described["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
        assert "example" in good


def test_metrics_count_images_by_decision(predictor: Predictor) -> None:
    with running(predictor) as server:
        server.ask("POST", "/v1/images", form(*map(png, IMAGES), b"text"), FORM)
        unknown = int(predictor.predict(IMAGES)["is_ood"].sum())
        assert server.metric('synthood_images_total{decision="unknown"}') == unknown
        assert server.metric('synthood_images_total{decision="known"}') == len(IMAGES) - unknown
        assert server.metric('synthood_images_total{decision="unreadable"}') == 1
        assert server.metric("synthood_images_waiting") == 0
        assert server.metric("synthood_held_bytes") == 0
        name = 'synthood_requests_total{method="POST",route="/v1/images",status="200"}'
        assert server.metric(name) == 1


def test_no_other_page_may_read_answers_unless_allowed(server: Running, predictor: Predictor) -> None:
    name = "access-control-allow-origin"
    assert name not in server.ask("GET", "/v1/detector", Origin="https://example.org").headers
    with running(predictor, allow_origin=("https://example.org",)) as other:
        assert other.ask("GET", "/healthz", Origin="https://example.org").headers[name] == "https://example.org"
        assert name not in other.ask("GET", "/healthz", Origin="https://else.org").headers


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"port": -1}, "--port -1: expected at least 0"),
        ({"batch": 0}, "--batch 0: expected at least 1"),
        ({"runtime": "jax"}, "--runtime jax: expected one of auto, torch, onnx"),
        ({"runtime": "onnx", "device": "cuda"}, "--device cuda: detector.onnx runs on the CPU; take --runtime torch"),
        ({"timeout": 0.0}, "--timeout 0: expected seconds above 0"),
        ({"port": 70000}, "--port 70000: expected at most 65535"),
        ({"max_images": 300}, "--max-images 300 do not fit into --queue 256"),
        ({"max_bytes": 10**9}, "--max-bytes 1000000000 do not fit into --max-held-bytes 256000000"),
        ({"allow_origin": ("*",)}, r"--allow-origin \*: expected one such as https://example.org"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(SynthoodError, match=f"serve: {why}"):
        ServeOptions(**options)  # type: ignore[arg-type]


def test_answers_do_not_wait_for_the_clients_acknowledgement() -> None:
    from synthood.serve.server import listening

    with listening(ServeOptions(port=0)) as listener:
        # asyncio turns Nagle's algorithm off for such sockets alone
        assert listener.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken(server: Running, tmp_path: Path, predictor: Predictor) -> None:
    from synthood.serve.server import listening

    with (
        pytest.raises(SynthoodError, match=rf"127.0.0.1, port {server.port}: Address already in use"),
        listening(ServeOptions(port=server.port)),
    ):
        pass
