"""The checker finds every kind of fault and accuses no good history."""

import sys
import unittest

from history import Received, Sent, findings


def good(count=5):
    sent = [Sent("a", "b", n, confirmed=True) for n in range(count)]
    received = [Received("b", "a", n, f"id{n}") for n in range(count)]
    return sent, received


class Judged(unittest.TestCase):
    def finds(self, sent, received, kind, count=1, **options):
        found = findings(sent, received, **options)
        self.assertEqual([f.split(":")[0] for f in found], [kind] * count, found)

    def test_a_good_history(self):
        self.assertEqual(findings(*good()), [])

    def test_nothing_at_all(self):
        self.assertEqual(findings([], []), [])

    def test_lost(self):
        sent, received = good()
        self.finds(sent, received[:2] + received[3:], "lost")

    def test_lost_at_the_end(self):
        sent, received = good()
        self.finds(sent, received[:-2], "lost", 2)

    def test_unconfirmed_may_be_missing(self):
        sent, received = good()
        sent[2].confirmed = False
        self.assertEqual(findings(sent, received[:2] + received[3:]), [])

    def test_unconfirmed_may_arrive(self):
        sent, received = good()
        sent[2].confirmed = False
        self.assertEqual(findings(sent, received), [])

    def test_duplicated_with_another_id(self):
        sent, received = good()
        self.finds(sent, received + [Received("b", "a", 1, "other")], "duplicated")

    def test_second_copy_with_the_same_id(self):
        sent, received = good()
        self.assertEqual(findings(sent, received + received[3:]), [])

    def test_second_copy_on_a_server_without_ids(self):
        sent, received = good()
        self.finds(sent, received + received[4:], "duplicated", ids=False)

    def test_second_copy_without_any_id(self):
        sent, received = good(1)
        found = findings(sent, [Received("b", "a", 0), Received("b", "a", 0)])
        self.assertEqual(sum(f.startswith("duplicated") for f in found), 1)

    def test_unstamped(self):
        sent, received = good()
        received[1].stanza_id = None
        self.finds(sent, received, "unstamped")

    def test_shared_id(self):
        sent, received = good()
        received[1].stanza_id = "id0"
        self.finds(sent, received, "shared id")

    def test_same_id_in_two_accounts_is_fine(self):
        sent = [Sent("a", "b", 1, True), Sent("a", "c", 2, True)]
        self.assertEqual(findings(sent, [Received("b", "a", 1, "x"), Received("c", "a", 2, "x")]), [])

    def test_reordered(self):
        sent, received = good()
        received[1], received[2] = received[2], received[1]
        self.finds(sent, received, "reordered")

    def test_reordered_across_a_gap_of_unconfirmed_ones(self):
        sent, received = good()
        sent[1].confirmed = False
        self.finds(sent, [received[0], received[2], received[3], received[4], received[1]], "reordered")

    def test_other_senders_may_interleave(self):
        sent = [Sent("a", "b", n, True) for n in range(3)] + [Sent("c", "b", n, True) for n in range(3)]
        received = [Received("b", who, n, f"{who}{n}") for n in range(3) for who in "ca"]
        self.assertEqual(findings(sent, received), [])

    def test_leaked_after_an_error(self):
        sent, received = good()
        sent[3].refused = True
        self.finds(sent, received, "leaked")

    def test_refused_and_absent_is_right(self):
        sent, received = good()
        sent[3].refused = True
        self.assertEqual(findings(sent, received[:3] + received[4:]), [])

    def test_invented(self):
        sent, received = good()
        self.finds(sent, received + [Received("b", "a", 77, "id77")], "invented")

    def test_delivered_to_the_wrong_account(self):
        sent, received = good(1)
        received.append(Received("x", "a", 0, "id0"))
        self.finds(sent, received, "invented")


if __name__ == "__main__":
    outcome = unittest.main(exit=False).result
    failed = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
