"""server/api/publish_openapi.py: the documentation of publishing."""

from tests.unit.server.api.requests import request


def test_post_and_put_are_documented_alike() -> None:
    path = request("GET", "/openapi.json").json()["paths"]["/v1/channels/{channel}"]
    post, put = path["post"], path["put"]
    assert (post.pop("operationId"), put.pop("operationId")) == ("post_events", "put_events")
    assert post == put
    assert set(post["requestBody"]["content"]) == {
        "application/json",
        "application/x-ndjson",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/senml+json",
    }
    assert {"200", "201", "207", "422", "503", "default"} <= post["responses"].keys()


def test_both_methods_publish() -> None:
    for method in ("POST", "PUT"):
        response = request(method, "/v1/channels/chat.a", content='{"sender":"a","text":"b"}')
        assert response.status_code == 201
