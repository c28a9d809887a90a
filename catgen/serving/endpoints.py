"""The table of endpoints: what each takes and gives. Routes, checks and the OpenAPI description are made of it."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import catgen
from catgen.evaluation import spelling
from catgen.evaluation.estimators import ONE_CALL
from catgen.serving.fields import Field, Fields, choice, integer, object_schema, several, text
from catgen.serving.served import NUM_STEPS

MOST_SAMPLES, MOST_LINES = 16, 64  # of one request
MOST_CHARACTERS = 20_000  # of one text
MOST_BYTES = 512 * 1024  # of a request

_EXAMPLE = {
  "anyOf": [{"type": "string", "maxLength": MOST_CHARACTERS}, {"type": "array"}, {"type": "object"}],
}
_MODEL = Field(text(200), "name of the model, as /api/models has it; default: the first")
_SEED = Field(integer(0, 2**53 - 1), "of the draws: the same seed, the same result", 0)
_LABELS = Field(several(text(500), 0, 64), 'labels that are given, each "name=value"')
# Each combination of what follows is a program of its own: so there are few values.
_OPTIONS: Fields = {
  "num_steps": Field(
    choice("integer", *NUM_STEPS),
    "network calls of a sampler; default: the run's",
  ),
  "temperature": Field(
    choice("number", 0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5),
    "below 1: more probable categories, 0: the most probable one; default: the run's",
  ),
  "top_p": Field(
    choice("number", 0.5, 0.7, 0.8, 0.9, 0.95, 1),
    "draw among categories with so much probability; default: the run's",
  ),
  "guidance": Field(choice("number", 0, 1, 1.5, 2, 3, 5), "how strongly labels act; default: 1, as they are"),
  "num_states": Field(choice("integer", 2, 8, 16, 24, 48), "states of the chain to show, noise and end included", 24),
  "stream": Field({"type": "boolean"}, "answer by server-sent events, with the states on the way", False),
}
SAMPLE: Fields = {
  "model": _MODEL,
  "num_samples": Field(integer(1, MOST_SAMPLES), "how many", 4),
  "seed": _SEED,
  "labels": _LABELS,
  **_OPTIONS,
}
INFILL: Fields = {
  "model": _MODEL,
  "example": Field(
    _EXAMPLE,
    "with holes: a text or cells of a row with `hole`, a map or an array of categories with -1; a short text goes on",
    required=True,
  ),
  "hole": Field({"type": "string", "maxLength": 1}, "stands for a missing position or cell", "_"),
  "num_samples": Field(integer(1, MOST_SAMPLES), "how many completions", 4),
  "seed": _SEED,
  "labels": _LABELS,
  **_OPTIONS,
}
CORRECT: Fields = {
  "model": _MODEL,
  "example": Field(_EXAMPLE, "a text, a map or an array of categories, or a row", required=True),
  "error_rate": Field(choice("number", 0.01, 0.02, 0.05, 0.1, 0.2), "share of wrong positions that is assumed", 0.1),
  "method": Field(
    choice("string", *spelling.METHODS),
    "bayes weighs what was seen, paper takes the other positions alone; channel, of a model without a denoiser, looks "
    "for the example that most probably led to what was seen; default: the first of the model's `corrections`",
  ),
  "labels": _LABELS,
}
_SCORING: Fields = {
  "examples": Field(several(_EXAMPLE, 1, MOST_LINES), "texts, maps or arrays of categories, or rows", required=True),
  "num_draws": Field(choice("integer", 1, 4, 16), "of a bound: draws per example in each of 4 replicates", 4),
  "seed": _SEED,
  "labels": _LABELS,
  "consecutive": Field(
    {"type": "boolean"},
    "the examples are pieces of one text, in its order, and so not independent, which the errors over them allow for",
    False,
  ),
}
SCORE: Fields = {
  "model": _MODEL,
  "estimator": Field(choice("string", *ONE_CALL), "default: exact where the model can, otherwise elbo, a bound"),
  **_SCORING,
}
COMPARE: Fields = {
  "models": Field(several(text(200), 2, 2), "names of two models; default: the first two"),
  **_SCORING,
}

_NUMBER = {"type": ["number", "null"]}
_EXAMPLES = {"type": "array", "items": {}, "description": "as they were sent: texts, maps, arrays or rows"}
_SCORES = {
  "type": "object",
  "properties": {
    "unit": {"type": "string"},
    "estimator": {"type": "string"},
    "bound": {"type": "boolean", "description": "true: an upper bound on the bits, drawn at random"},
    "num_draws": {"type": "integer"},
    "num_replicates": {"type": "integer"},
    "scores": {
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "bits": _NUMBER,
          "monte_carlo_error": _NUMBER,
          "positions": {"type": "integer"},
          "nats": _NUMBER,
        },
      },
    },
    "all": {
      "type": "object",
      "description": "of all examples together: bits per position, standard error over examples, null of "
      "fewer than ten pieces of one text, and that of the draws",
      "properties": {"bits": _NUMBER, "data_error": _NUMBER, "monte_carlo_error": _NUMBER},
    },
  },
}
_DRAWN = {
  "type": "object",
  "properties": {
    "examples": _EXAMPLES,
    "seconds": {"type": "number"},
    "law": {"type": "string", "description": "which distribution they follow, in a sentence"},
  },
}


def offers() -> dict[str, Any]:
  """Returns what clients may choose among: the values of each key that has few, and what one request has at most."""
  fields = {**SAMPLE, **INFILL, **CORRECT, **SCORE}
  found: dict[str, Any] = {name: each.schema["enum"] for name, each in fields.items() if "enum" in each.schema}
  return {**found, "most_samples": MOST_SAMPLES, "most_lines": MOST_LINES}


class Endpoint(NamedTuple):
  """One of the table."""

  method: Literal["GET", "POST"]
  path: str
  summary: str
  takes: Fields | None
  gives: Mapping[str, Any]  # schema of the answer
  streams: bool = False  # by server-sent events, where it is asked to


ENDPOINTS: dict[str, Endpoint] = {
  "models": Endpoint(
    "GET",
    "/api/models",
    "The models that are served, and what each can do",
    None,
    {
      "type": "object",
      "properties": {
        "models": {"type": "array", "items": {"type": "object"}},
        "offers": {"type": "object", "description": "values that a key may have, by its name; most of one request"},
      },
    },
  ),
  "status": Endpoint("GET", "/api/status", "How much there is to do", None, {"type": "object"}),
  "sample": Endpoint("POST", "/api/sample", "Draws examples, and shows how they emerge", SAMPLE, _DRAWN, True),
  "infill": Endpoint("POST", "/api/infill", "Completes an example with holes", INFILL, _DRAWN, True),
  "correct": Endpoint(
    "POST",
    "/api/correct",
    "Corrects an example",
    CORRECT,
    {
      "type": "object",
      "properties": {
        "corrected": {},
        "characters": {"type": ["array", "null"], "items": {"type": "string"}},
        "changes": {"type": "array", "items": {"type": "object"}},
        "seconds": {"type": "number"},
      },
    },
  ),
  "score": Endpoint("POST", "/api/score", "How probable examples are, in bits per position", SCORE, _SCORES),
  "compare": Endpoint(
    "POST",
    "/api/compare",
    "Scores of the same examples by two models, and their paired difference",
    COMPARE,
    {
      "type": "object",
      "properties": {
        "models": {"type": "array", "items": {"type": "string"}},
        "first": _SCORES,
        "second": _SCORES,
        "difference": {"type": "object", "description": "bits per position of the first less those of the second"},
      },
    },
  ),
  "openapi": Endpoint("GET", "/openapi.json", "This description", None, {"type": "object"}),
}
_ERRORS = {
  "400": "no JSON",
  "401": "no token, or a wrong one",
  "403": "a page of another site, or a name that this server does not have",
  "404": "no such path",
  "405": "another method",
  "408": "the request took too long to arrive",
  "413": f"more than {MOST_BYTES:,} bytes",
  "415": "another content type than application/json",
  "422": "a value that is out of range, or that the model cannot take",
  "500": "the server's own fault",
  "503": "too many requests are waiting; Retry-After says when to try again",
}
ERRORS_OF = {"GET": ("401", "403"), "POST": tuple(code for code in _ERRORS if code not in ("404", "405"))}


def openapi() -> dict[str, Any]:
  """Returns the OpenAPI 3.1 description of the endpoints."""
  paths: dict[str, Any] = {}
  for name, endpoint in ENDPOINTS.items():
    content: dict[str, Any] = {"application/json": {"schema": dict(endpoint.gives)}}
    if endpoint.streams:
      content["text/event-stream"] = {"schema": {"type": "string", "description": _EVENTS}}
    answers = {"200": {"description": "what was asked for", "content": content}}
    failure = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers |= {code: {"description": _ERRORS[code], "content": failure} for code in ERRORS_OF[endpoint.method]}
    operation: dict[str, Any] = {"operationId": name, "summary": endpoint.summary, "responses": answers}
    if endpoint.takes is not None:
      body = {"schema": object_schema(endpoint.takes)}
      operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
  error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
  return {
    "openapi": "3.1.0",
    "info": {
      "title": "catgen serve",
      "version": catgen.__version__,
      "description": "Samples, completions, corrections and scores of trained models of categorical data.",
    },
    "paths": paths,
    "components": {
      "schemas": {"Error": error},
      "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{}, {"token": []}],
  }


_EVENTS = (
  'server-sent events: "queued" {waiting}, "started", "state" {share, examples} on the way, and at the end "done", '
  'with the answer, or "error" {error}; closing the connection cancels the request'
)
