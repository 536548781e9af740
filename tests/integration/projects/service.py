"""A FastAPI service that publishes orders and shows those that it has followed."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from eventhub_client import Event, Gap, Hub

hub = Hub(os.environ["HUB"])
orders: dict[int, "Order"] = {}


class Order(BaseModel):
    """An order."""

    number: int
    total: str


async def follow() -> None:
    """Keep all orders."""
    async for item in hub.follow("orders.eu", model=Order, since="earliest"):
        match item:
            case Event():
                orders[item.data.number] = item.data
            case Gap():
                orders.clear()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The hub lives as long as the service."""
    following = asyncio.create_task(follow())
    async with hub:
        yield
        following.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=201)
async def create(order: Order) -> str:
    """Publish an order."""
    return (await hub.publish("orders.eu", order, timeout=300)).id


@app.get("/orders")
async def listing() -> list[Order]:
    """The orders that have come back."""
    return list(orders.values())
