"""What the OpenAPI description says beyond what the views say themselves."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

PROBLEM = {
    "type": "object",
    "description": "What is wrong: a detail, or messages by the name of the field.",
    "properties": {"detail": {"type": "string"}},
    "additionalProperties": {},
    "example": {"detail": "There is no such actor."},
}
OLD_PROBLEM = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "example": {"error": "Version not found"},
}
REASONS = {
    400: "Something in the request is wrong; the answer names it.",
    401: "No valid token or login.",
    403: "The role or the token's scope does not allow it.",
    404: "There is no such thing.",
    406: "Only JSON is spoken here.",
    409: "Not possible in this state.",
    412: "It has changed since it was read.",
    413: "The body is too large.",
    415: "The body must be JSON.",
    428: "If-Match is missing.",
}
OLD_PATHS = ("/api/actors/{id}/training-versions", "/api/actors/{id}/mark-good")
ACTORS_JSON = {
    "get": {
        "operationId": "actors_json",
        "summary": "The registry",
        "description": "Every actor that is not retired. Send If-None-Match: a 304 costs next to nothing.",
        "tags": ["registry"],
        "parameters": [{"in": "header", "name": "If-None-Match", "schema": {"type": "string"}}],
        "security": [{"bearerToken": []}, {"cookieAuth": []}, {}],
        "responses": {
            "200": {
                "description": "Its JSON Schema is at /api/schemas/actors.json.",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}},
            },
            "304": {"description": "Nothing has changed."},
        },
    }
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """How the API knows who asks."""

    target_class = "actors.authentication.TokenAuthentication"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """An access token from the tokens page."""
        return {"type": "http", "scheme": "bearer"}


def add_common_answers(
    result: dict[str, Any],
    generator: Any,
    request: Any,
    public: bool,  # noqa: FBT001  # drf-spectacular's signature of a hook
) -> dict[str, Any]:
    """Adds ``/actors.json``, and to each operation the refusals that any of its kind may answer."""
    result["paths"]["/actors.json"] = ACTORS_JSON
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"], schemas["OldProblem"] = PROBLEM, OLD_PROBLEM
    for path, operations in result["paths"].items():
        old = path == "/actors.json" or (
            path.endswith(("/training-versions", "{id}/mark-good")) and "/actors/" in path
        )
        for method, operation in operations.items():
            for code in refusals(path, method, operation):
                answer = operation["responses"].setdefault(str(code), {"description": REASONS[code]})
                name = "OldProblem" if old else "Problem"
                answer.setdefault(
                    "content", {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
                )
    return result


def refusals(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    """Which statuses this operation may refuse with."""
    codes = {401, 403, 406} | {int(code) for code in operation["responses"] if int(code) in REASONS}
    if "{" in path:
        codes.add(404)
    if "requestBody" in operation:
        codes |= {400, 413, 415}
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        codes.add(400)
    if method == "patch":
        codes |= {412, 428}
    if path in OLD_PATHS and method == "post":
        codes |= {409, 412}
    return codes
