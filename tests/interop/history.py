"""Judges what clients saw: were messages lost, duplicated, reordered, invented, or delivered although refused?

Pure: lists in, findings out. The promise it checks: what was confirmed arrives; in the order sent; a second copy only
with the same stanza-id; what was answered with an error does not arrive.
"""

from dataclasses import dataclass


@dataclass
class Sent:
    """One message as its sender knows it. Numbers rise with the time of sending, per sender."""

    sender: str
    recipient: str
    number: int
    # A later ping of the same stream was answered.
    confirmed: bool = False
    # An error came back for it.
    refused: bool = False


@dataclass
class Received:
    """One message as its recipient read it."""

    recipient: str
    sender: str
    number: int
    stanza_id: str | None = None


def findings(sent, received, ids=True):
    """What is wrong with a history, one line each. `received` is in order of arrival per recipient, over all its
    sessions. `ids=False` for servers without stanza-ids: then every second copy is wrong."""
    known = {(s.sender, s.number): s for s in sent}
    found = []
    first_id = {}
    owner_of_id = {}
    newest = {}
    for message in received:
        key = (message.sender, message.number)
        label = f"{message.sender} #{message.number} to {message.recipient}"
        origin = known.get(key)
        if origin is None or origin.recipient != message.recipient:
            found.append(f"invented: {label} was never sent there")
            continue
        if origin.refused:
            found.append(f"leaked: {label} arrived although it was answered with an error")
        if ids and message.stanza_id is None:
            found.append(f"unstamped: {label} has no stanza-id")
        if key in first_id:
            if not ids or message.stanza_id is None or first_id[key] != message.stanza_id:
                found.append(f"duplicated: {label} came as {first_id[key]} and again as {message.stanza_id}")
            continue
        first_id[key] = message.stanza_id
        if message.stanza_id is not None:
            other = owner_of_id.setdefault((message.recipient, message.stanza_id), key)
            if other != key:
                found.append(f"shared id: {label} has the stanza-id of {other[0]} #{other[1]}")
        lane = (message.sender, message.recipient)
        if message.number < newest.get(lane, -1):
            found.append(f"reordered: {label} came after #{newest[lane]}")
        newest[lane] = max(message.number, newest.get(lane, -1))
    for origin in sent:
        if origin.confirmed and not origin.refused and (origin.sender, origin.number) not in first_id:
            found.append(f"lost: {origin.sender} #{origin.number} to {origin.recipient} was confirmed and never came")
    return found
