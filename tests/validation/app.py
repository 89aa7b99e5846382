"""A FastAPI app with a bit of everything that a document can describe. Each answer says in `x-app` whether the app's own
validation (pydantic) took the request."""

import sys
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Literal, Optional, Union
from uuid import UUID

import uvicorn
from fastapi import Cookie, FastAPI, Form, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

app = FastAPI()


class Size(str, Enum):
    small = "small"
    large = "large"


class Maker(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=40)
    country: str = Field(pattern="^[A-Z]{2}$")


class Card(BaseModel):
    kind: Literal["card"]
    number: str = Field(min_length=4, max_length=19)


class Transfer(BaseModel):
    kind: Literal["transfer"]
    iban: str = Field(min_length=4)


class Item(BaseModel):
    name: str = Field(min_length=1, max_length=64)
    price: float = Field(gt=0, le=100000)
    count: int = Field(default=1, ge=0, le=1000)
    size: Size = Size.small
    tags: list[Annotated[str, Field(max_length=16)]] = Field(default=[], max_length=8)
    maker: Maker
    note: Optional[str] = Field(default=None, max_length=200)
    discount: Optional[float] = Field(default=None, ge=0, le=1)
    id: Optional[UUID] = None
    sold: Optional[date] = None
    seen: Optional[datetime] = None
    payment: Union[Card, Transfer, None] = Field(default=None, discriminator="kind")
    prices: dict[str, float] = {}
    parts: list["Item"] = Field(default=[], max_length=2)


@app.exception_handler(RequestValidationError)
async def refused(request: Request, error: RequestValidationError):
    return JSONResponse({"detail": "refused"}, 422, headers={"x-app": "refused"})


@app.middleware("http")
async def told(request: Request, following):
    answer = await following(request)
    if "x-app" not in answer.headers:
        answer.headers["x-app"] = "accepted" if answer.status_code == 200 else "other"
    return answer


@app.post("/items", status_code=200)
async def create(item: Item):
    return {}


@app.get("/items")
async def listed(
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    sort: Annotated[Literal["name", "price"], Query()] = "name",
    size: Annotated[Optional[Size], Query()] = None,
    tag: Annotated[list[str], Query(max_length=4)] = [],
    number: Annotated[list[int], Query()] = [],
    sold: Annotated[Optional[bool], Query()] = None,
    least: Annotated[Optional[float], Query(ge=0)] = None,
):
    return {}


@app.put("/items/{item}/parts/{part}")
async def part(
    item: Annotated[int, Path(ge=1)],
    part: Annotated[UUID, Path()],
    maker: Maker,
    x_trace: Annotated[str, Header(min_length=2, max_length=20, pattern="^[a-z0-9]+$")],
    x_depth: Annotated[Optional[int], Header(ge=0)] = None,
    level: Annotated[Optional[int], Cookie(ge=0, le=9)] = None,
):
    return {}


@app.patch("/counts")
async def counts(numbers: list[Annotated[int, Field(ge=0)]]):
    return {}


@app.post("/form")
async def form(
    name: Annotated[str, Form(min_length=1, max_length=20)],
    age: Annotated[int, Form(ge=0, le=150)],
    news: Annotated[bool, Form()] = False,
):
    return {}


@app.get("/health", include_in_schema=False)
async def health():
    return {}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
