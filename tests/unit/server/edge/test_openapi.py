"""The API as a document."""

from server.edge.openapi import Operation, document

OPERATION = Operation(
    method="POST",
    path="/live/{stream}/update",
    summary="Changes it.",
    query={"dry": "Only check."},
    body={"application/json": {"a": 1}},
    answers={200: ("application/json", "Done.")},
    errors={404: "stream_not_found"},
)


def test_an_operation_says_what_it_takes_and_gives() -> None:
    found = document("T", "1", [OPERATION])["paths"]["/live/{stream}/update"]["post"]
    names = {(p["in"], p["name"]) for p in found["parameters"]}
    assert names == {("path", "stream"), ("query", "dry")}
    assert set(found["responses"]) == {"200", "404"}
    assert found["requestBody"]["content"]["application/json"]["example"] == {"a": 1}


def test_two_methods_of_one_path_stand_together() -> None:
    other = Operation(method="GET", path=OPERATION.path, summary="Reads it.")
    assert set(document("T", "1", [OPERATION, other])["paths"][OPERATION.path]) == {"get", "post"}
