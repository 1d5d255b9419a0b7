"""An answer as an object, checked on arrival; and every kind of failure as what it is."""

import sys
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ollama_client import GizziError, OllamaClient, shown_lines
from ollama_client.errors import SchemaError


class Triage(BaseModel):
    urgency: Literal["now", "today", "never"]
    # A length ends the answer of a small model, too.
    reason: Annotated[str, Field(max_length=60)]


try:
    with OllamaClient() as client:
        triage = client.query_json("A validator has 1 peer and is 200 blocks behind. How urgent is it?", Triage)
    print(shown_lines(f"{triage.urgency}: {triage.reason}"))
except SchemaError as error:
    sys.exit(f"The model did not answer as asked, but: {error.text!r}")
except GizziError as error:
    sys.exit(f"No answer: {error}")
