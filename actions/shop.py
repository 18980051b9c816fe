"""A shop in one SQLite file: stock, customers' balances, and a row for each thing done to them.

Each action is one transaction whose row is keyed by the step's idempotency key. An attempt that was cut off
after its commit leaves that row, so the next one finds it and the effect is not made twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from ksl import ActionContext, FatalError, Retry, action

from actions.files import existing_folder, write_whole

FILE = "shop.db"
# Another order holds the file: worth another try, unlike being out of stock.
PATIENT = Retry(attempts=5, initial="100ms", maximum="2s", on=(sqlite3.OperationalError,))

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (
    item TEXT PRIMARY KEY, price_cents INTEGER NOT NULL, on_hand INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS customer (
    name TEXT PRIMARY KEY, balance_cents INTEGER NOT NULL, country TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deed (
    key TEXT PRIMARY KEY,                -- the idempotency key of the step that did it
    kind TEXT NOT NULL,                  -- reserve, charge, ship, refund, release, backorder
    customer TEXT NOT NULL, item TEXT NOT NULL, quantity INTEGER NOT NULL, cents INTEGER NOT NULL,
    undoes TEXT UNIQUE REFERENCES deed   -- a deed is undone once at most
);
"""
SHIPS_TO = frozenset({"AT", "CH", "DE", "FR", "IT"})


class Deed(BaseModel):
    key: str
    kind: str
    customer: str
    item: str
    quantity: int
    cents: int


@action(retry=PATIENT)
def stock_of(folder: str, item: str) -> int:
    """Of an item, how many are on hand."""
    with _shop(folder) as shop:
        row = shop.execute("SELECT on_hand FROM stock WHERE item = ?", (item,)).fetchone()
        return row[0] if row is not None else 0


@action(retry=PATIENT)
def reserve_stock(ctx: ActionContext, folder: str, customer: str, item: str, quantity: int) -> Deed:
    with _shop(folder) as shop:
        if (done := _done(shop, ctx.idempotency_key)) is not None:
            return done
        row = shop.execute("SELECT price_cents, on_hand FROM stock WHERE item = ?", (item,)).fetchone()
        price, on_hand = row or (0, 0)
        if on_hand < quantity:
            raise FatalError(f"only {on_hand} of {item!r} in stock, {quantity} were ordered")
        shop.execute("UPDATE stock SET on_hand = on_hand - ? WHERE item = ?", (quantity, item))
        deed = Deed(
            key=ctx.idempotency_key,
            kind="reserve",
            customer=customer,
            item=item,
            quantity=quantity,
            cents=price * quantity,
        )
        return _record(shop, deed)


@action(retry=PATIENT)
def charge_customer(ctx: ActionContext, folder: str, reservation: Deed) -> Deed:
    with _shop(folder) as shop:
        if (done := _done(shop, ctx.idempotency_key)) is not None:
            return done
        name, cents = reservation.customer, reservation.cents
        row = shop.execute("SELECT balance_cents FROM customer WHERE name = ?", (name,)).fetchone()
        if row is None or row[0] < cents:
            raise FatalError(f"{name!r} cannot pay {cents / 100:.2f}: {(row or (0,))[0] / 100:.2f} left")
        shop.execute("UPDATE customer SET balance_cents = balance_cents - ? WHERE name = ?", (cents, name))
        return _record(shop, reservation.model_copy(update={"key": ctx.idempotency_key, "kind": "charge"}))


@action(retry=PATIENT)
def ship_parcel(ctx: ActionContext, folder: str, reservation: Deed) -> Deed:
    with _shop(folder) as shop:
        if (done := _done(shop, ctx.idempotency_key)) is not None:
            return done
        (country,) = shop.execute(
            "SELECT country FROM customer WHERE name = ?", (reservation.customer,)
        ).fetchone()
        if country not in SHIPS_TO:
            raise FatalError(f"no carrier goes to {country}")
        return _record(shop, reservation.model_copy(update={"key": ctx.idempotency_key, "kind": "ship"}))


@action(retry=PATIENT)
def refund_customer(ctx: ActionContext, folder: str, charge: Deed) -> Deed:
    with _shop(folder) as shop:
        if (done := _done(shop, ctx.idempotency_key)) is not None:
            return done
        change = (charge.cents, charge.customer)
        shop.execute("UPDATE customer SET balance_cents = balance_cents + ? WHERE name = ?", change)
        refund = charge.model_copy(update={"key": ctx.idempotency_key, "kind": "refund"})
        return _record(shop, refund, undoes=charge.key)


@action(retry=PATIENT)
def release_stock(ctx: ActionContext, folder: str, reservation: Deed) -> Deed:
    with _shop(folder) as shop:
        if (done := _done(shop, ctx.idempotency_key)) is not None:
            return done
        change = (reservation.quantity, reservation.item)
        shop.execute("UPDATE stock SET on_hand = on_hand + ? WHERE item = ?", change)
        release = reservation.model_copy(update={"key": ctx.idempotency_key, "kind": "release"})
        return _record(shop, release, undoes=reservation.key)


@action(retry=PATIENT)
def note_backorder(ctx: ActionContext, folder: str, customer: str, item: str, quantity: int) -> Deed:
    with _shop(folder) as shop:
        if (done := _done(shop, ctx.idempotency_key)) is not None:
            return done
        deed = Deed(
            key=ctx.idempotency_key,
            kind="backorder",
            customer=customer,
            item=item,
            quantity=quantity,
            cents=0,
        )
        return _record(shop, deed)


@action(retry=PATIENT)
def write_audit(ctx: ActionContext, folder: str, customer: str, item: str) -> list[str]:
    """What was done for the run that this step belongs to, in its order, put into audit.txt."""
    with _shop(folder) as shop:
        found = shop.execute("SELECT kind FROM deed WHERE key LIKE ? ORDER BY rowid", (f"{ctx.run_id}%",))
        kinds = [kind for (kind,) in found]
    write_whole(
        existing_folder(folder) / "audit" / f"{ctx.run_id}.txt", f"{customer}, {item}: {', '.join(kinds)}\n"
    )
    return kinds


def open_shop(
    folder: str | Path, *, stock: dict[str, tuple[int, int]], customers: dict[str, tuple[int, str]]
) -> Path:
    """Fills a shop: item -> (price in cents, on hand), customer -> (balance in cents, country)."""
    with _shop(str(folder)) as shop:
        shop.executemany("INSERT INTO stock VALUES (?, ?, ?)", [(item, *row) for item, row in stock.items()])
        shop.executemany(
            "INSERT INTO customer VALUES (?, ?, ?)", [(name, *row) for name, row in customers.items()]
        )
    return Path(folder) / FILE


@contextmanager
def _shop(folder: str) -> Generator[sqlite3.Connection]:
    """One transaction. It takes the write lock first, so that what was read stays true until the commit."""
    shop = sqlite3.connect(existing_folder(folder) / FILE, timeout=5, isolation_level=None)
    try:
        shop.execute("PRAGMA foreign_keys = ON")
        shop.execute("BEGIN IMMEDIATE")
        try:
            for statement in SCHEMA.split(";\n"):
                shop.execute(statement)
            yield shop
        except BaseException:
            if shop.in_transaction:
                shop.execute("ROLLBACK")
            raise
        shop.execute("COMMIT")
    finally:
        shop.close()


def _done(shop: sqlite3.Connection, key: str) -> Deed | None:
    row = shop.execute(
        "SELECT key, kind, customer, item, quantity, cents FROM deed WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return None
    return Deed(key=row[0], kind=row[1], customer=row[2], item=row[3], quantity=row[4], cents=row[5])


def _record(shop: sqlite3.Connection, deed: Deed, *, undoes: str | None = None) -> Deed:
    shop.execute(
        "INSERT INTO deed VALUES (?, ?, ?, ?, ?, ?, ?)",
        (deed.key, deed.kind, deed.customer, deed.item, deed.quantity, deed.cents, undoes),
    )
    return deed
