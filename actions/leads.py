"""What a folder of plain files knows about a person: `companies.csv`, and text files below `notes`."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

from pydantic import BaseModel

from ksl import action

from actions.files import existing_folder, write_whole

FREE_MAIL = frozenset(
    {"aol.com", "gmail.com", "gmx.de", "hotmail.com", "icloud.com", "outlook.com", "yahoo.com"}
)
TOO_COMMON = re.compile(
    "all|and|are|but|can|for|from|had|has|have|her|him|his|its|more|not|our|she|than|that|the|their|them|then|they"
    "|this|was|were|who|will|with|you|your"
)


class Company(BaseModel):
    name: str
    domain: str
    employees: int


class Mentions(BaseModel):
    notes: list[str]  # names of the notes that mention the person
    words: int  # in those notes


class Score(BaseModel):
    points: int  # 0 to 100
    reasons: list[str]


@action
def find_company(folder: str, email: str) -> Company | None:
    """Looks the mail domain up in companies.csv (name, domain, employees). Free mail tells nothing."""
    domain = _domain(email)
    listing = existing_folder(folder) / "companies.csv"
    if domain in FREE_MAIL or not listing.is_file():
        return None
    with listing.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["domain"].strip().casefold() == domain:
                return Company(name=row["name"].strip(), domain=domain, employees=int(row["employees"]))
    return None


@action
def find_mentions(folder: str, name: str) -> Mentions:
    """Which notes name the person, as a whole word and in any case."""
    wanted = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    found: list[str] = []
    words = 0
    for note, text in _notes(folder):
        if wanted.search(text):
            found.append(note)
            words += len(text.split())
    return Mentions(notes=found, words=words)


@action
def find_interests(folder: str, notes: list[str], limit: int = 3) -> list[str]:
    """The words that the notes use most, common ones left out."""
    words: Counter[str] = Counter()
    for note, text in _notes(folder):
        if note in notes:
            words.update(
                word
                for word in re.findall(r"[^\W\d_]{3,}", text.casefold())
                if not TOO_COMMON.fullmatch(word)
            )
    return [word for word, _ in sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]]


@action
def size_market(folder: str, company: Company) -> float:
    """The share of listed companies that are no bigger than this one, 0 to 1."""
    with (existing_folder(folder) / "companies.csv").open(newline="", encoding="utf-8") as file:
        sizes = [int(row["employees"]) for row in csv.DictReader(file)]
    return sum(size <= company.employees for size in sizes) / len(sizes)


@action
def score(company: Company | None, rank: float, mentions: Mentions, interests: list[str]) -> Score:
    """Up to 50 points for the company, 30 for being talked about, 20 for shared interests."""
    reasons: list[str] = []
    points = 0
    if company is not None:
        points += 20 + round(30 * rank)
        reasons.append(f"works at {company.name} ({company.employees} people)")
    if mentions.notes:
        points += min(10 * len(mentions.notes), 30)
        reasons.append(f"named in {len(mentions.notes)} of our notes")
    if interests:
        points += min(7 * len(interests), 20)
        reasons.append(f"interested in {', '.join(interests)}")
    return Score(points=points, reasons=reasons)


@action
def open_account(folder: str, email: str, plan: str) -> str:
    """Makes the account's folder with its settings; the same answer when it is there already."""
    # The digest keeps a.b@x and a-b@x apart.
    digest = hashlib.sha256(email.casefold().encode()).hexdigest()[:6]
    name = re.sub(r"[^a-z0-9]+", "-", email.casefold()).strip("-") + f"-{digest}"
    account = existing_folder(folder) / "accounts" / name
    write_whole(account / "account.toml", f'email = "{_toml(email)}"\nplan = "{_toml(plan)}"\n')
    return str(account)


def _domain(email: str) -> str:
    return email.rpartition("@")[2].strip().casefold()


def _notes(folder: str) -> list[tuple[str, str]]:
    paths: list[Path] = sorted((existing_folder(folder) / "notes").glob("*.txt"))
    return [(path.name, path.read_text(encoding="utf-8", errors="replace")) for path in paths]


def _toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
