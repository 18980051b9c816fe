from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ksl import ActionContext, FatalError

from actions.shop import (
    Deed,
    charge_customer,
    open_shop,
    refund_customer,
    release_stock,
    reserve_stock,
    ship_parcel,
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return open_shop(
        tmp_path,
        stock={"kite": (1500, 3)},
        customers={"Ada": (4000, "DE"), "Bob": (100, "DE"), "Nemo": (9000, "AQ")},
    )


def attempt(key: str) -> ActionContext:
    return ActionContext(idempotency_key=key)


def reserve(shop: Path, customer: str = "Ada", quantity: int = 2, key: str = "r") -> Deed:
    return reserve_stock.function(
        attempt(key), folder=str(shop.parent), customer=customer, item="kite", quantity=quantity
    )


def figures(shop: Path) -> tuple[int, int]:
    """Kites on hand, and what Ada has left."""
    database = sqlite3.connect(shop)
    try:
        (kites,) = database.execute("SELECT on_hand FROM stock").fetchone()
        (cents,) = database.execute("SELECT balance_cents FROM customer WHERE name = 'Ada'").fetchone()
    finally:
        database.close()
    return kites, cents


def test_an_attempt_made_again_after_its_commit_changes_nothing_more(shop: Path) -> None:
    folder = str(shop.parent)
    reservation = reserve(shop)
    assert reserve(shop) == reservation
    charge = charge_customer.function(attempt("c"), folder=folder, reservation=reservation)
    assert charge_customer.function(attempt("c"), folder=folder, reservation=reservation) == charge
    assert figures(shop) == (1, 1000)


def test_what_is_undone_is_as_before_and_undone_once(shop: Path) -> None:
    folder = str(shop.parent)
    reservation = reserve(shop)
    charge = charge_customer.function(attempt("c"), folder=folder, reservation=reservation)
    for key in ("f", "f"):
        refund_customer.function(attempt(key), folder=folder, charge=charge)
    for key in ("l", "l"):
        release_stock.function(attempt(key), folder=folder, reservation=reservation)
    assert figures(shop) == (3, 4000)
    with pytest.raises(sqlite3.IntegrityError):
        refund_customer.function(attempt("another"), folder=folder, charge=charge)
    assert figures(shop) == (3, 4000)


def test_what_cannot_be_done_changes_nothing_and_says_why(shop: Path) -> None:
    folder = str(shop.parent)
    with pytest.raises(FatalError, match="only 3 of 'kite' in stock, 4 were ordered"):
        reserve(shop, quantity=4)
    with pytest.raises(FatalError, match=r"'Bob' cannot pay 15\.00: 1\.00 left"):
        charge_customer.function(attempt("c"), folder=folder, reservation=reserve(shop, "Bob", 1, "b"))
    with pytest.raises(FatalError, match="no carrier goes to AQ"):
        ship_parcel.function(attempt("s"), folder=folder, reservation=reserve(shop, "Nemo", 1, "n"))
    assert figures(shop) == (1, 4000)


def test_a_missing_folder_is_refused_before_a_database_is_made(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="is not a folder"):
        reserve(tmp_path / "none" / "shop.db")
    assert list(tmp_path.iterdir()) == []
