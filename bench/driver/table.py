"""The table of results: medians per server, ratios towards the better peer and the bare relay, goals."""

import statistics

SUBJECTS = ("linnet", "prosody", "ejabberd", "relay")
BEGIN = "<!-- results: written by bench/run --write -->"
END = "<!-- end of results -->"


class Results:
    """Every value measured, by (scenario, variant, figure) and server, in the order of arrival."""

    def __init__(self):
        self.rows = {}

    def add(self, server, row):
        """Takes one line of the load generator as a dict."""
        key = (row["scenario"], row["variant"], row["figure"])
        entry = self.rows.setdefault(key, {"better": row["better"], "goals": row["goals"], "values": {}})
        entry["values"].setdefault(server, []).append(row["value"])

    def lines(self):
        """One dict per figure and server, for the file of results."""
        for (scenario, variant, figure), entry in self.rows.items():
            for server, values in entry["values"].items():
                yield {"server": server, "scenario": scenario, "variant": variant, "figure": figure,
                       "better": entry["better"], "values": [round(value, 4) for value in values]}


def markdown(results, labels):
    """The table; `labels` gives the head of each server's column."""
    heads = ["scenario", "figure", *(labels.get(each, each) for each in SUBJECTS), "× better peer", "× relay", "goals"]
    lines = [_line(heads), _line(["---", "---", *["---:"] * (len(heads) - 3), "---"])]
    for (scenario, variant, figure), entry in results.rows.items():
        medians = {server: statistics.median(values) for server, values in entry["values"].items()}
        peer = _ratio(medians, entry["better"], ("prosody", "ejabberd"))
        relay = _ratio(medians, entry["better"], ("relay",))
        name = f"{scenario}: {variant}" if variant else scenario
        cells = [number(medians.get(each)) for each in SUBJECTS]
        goals = [_goal(goal, medians.get("linnet"), peer, relay, entry["better"]) for goal in entry["goals"]]
        lines.append(_line([name, figure, *cells, number(peer), number(relay), "; ".join(goals)]))
    return "\n".join(lines) + "\n"


def number(value):
    """Three significant digits, thousands separated; a dash for nothing."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def insert(page, text):
    """Puts `text` between the markers of the Markdown file `page`."""
    before, rest = page.read_text().split(BEGIN, 1)
    _, after = rest.split(END, 1)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def _ratio(medians, better, others):
    """How many times better Linnet is than the best of `others`; 2 is twice as good, whichever way is better."""
    own = medians.get("linnet")
    found = [medians[other] for other in others if other in medians]
    if own is None or not found:
        return None
    best = max(found) if better == "more" else min(found)
    over, under = (own, best) if better == "more" else (best, own)
    return over / under if under > 0 else None


def _goal(goal, own, peer, relay, better):
    kind = goal["kind"]
    if kind == "value":
        text, met = f"{'≥' if better == 'more' else '≤'} {goal['value']:g}", None
        if own is not None:
            met = own >= goal["value"] if better == "more" else own <= goal["value"]
    else:
        ratio = peer if kind == "peer" else relay
        text = f"≥ {goal['times']:g} × {'better peer' if kind == 'peer' else 'relay'}"
        met = None if ratio is None else ratio >= goal["times"]
    return text if met is None else f"{text}: {'met' if met else '**missed**'}"


def _line(cells):
    return "| " + " | ".join(cells) + " |"
