"""The runner's own tests, which need nothing built: python3 -B self_test.py

Statistics of made-up rounds whose answer is known, verdicts of bars, how sittings and groups are
paired, which of the works gets the time that is left, and the exit status of `run.sh --compare`.
"""

import contextlib
import io
import json
import math
import os
import random
import sys
import tempfile
import unittest

import bars
import compare
import figures
import markdown
import plan


def entry(*sittings):
    """A contender whose sittings had these figures, a list of those of their turns for each."""
    found = {"title": "one", "rounds": [], "sittings": []}
    for number, turns in enumerate(sittings):
        found["rounds"] += [None if value is None else {"cpu_us": value} for value in turns]
        found["sittings"].append({"number": number, "turns": len(turns)})
    return found


def placed(*sittings):
    """A contender of whose turns it is known where the processors were before and after."""
    found = entry(*[[value for value, *_ in turns] for turns in sittings])
    turns = [turn for sitting in sittings for turn in sitting]
    for one, (_, before, after) in zip(found["rounds"], turns):
        if before is not None:
            one.update(line_ns_before=before, line_ns_after=after)
    return found


def noisy(center, sittings, scatter, seed, turns=6):
    draw = random.Random(seed)
    return entry(*[[center * draw.gauss(1, scatter) for _ in range(turns)]
                   for _ in range(sittings)])


class Statistics(unittest.TestCase):
    def test_a_quarter_at_each_side_does_not_count(self):
        self.assertEqual(figures.middle_mean([1, 2, 4, 5, 6, 7, 999, 1000]), 5.5)
        self.assertEqual(figures.middle_mean([-1000, -900, 4, 6, 5, 5, 900, 1000]), 5)

    def test_a_contender_that_is_dear_now_and_then_is_at_its_usual_figure(self):
        self.assertEqual(figures.middle_mean([1.0] * 17 + [4.0] * 3),
                         figures.middle_mean([1.0] * 20))

    def test_few_values_have_a_middle(self):
        self.assertIsNone(figures.middle_mean([]))
        self.assertEqual(figures.middle_mean([3]), 3)
        self.assertEqual(figures.middle_mean([1, 3]), 2)
        self.assertEqual(figures.middle_mean([1, 3, 1000]), 3)

    def test_quartiles_of_few_are_the_least_and_the_most(self):
        self.assertEqual(figures.quartiles([]), (None, None))
        self.assertEqual(figures.quartiles([3, 1, 2]), (1, 3))
        self.assertEqual(figures.quartiles([1, 2, 3, 4, 5]), (2, 4))

    def test_a_round_is_compared_with_the_same_round_of_the_same_sitting(self):
        # The machine is ten times slower in the second sitting, and again in its second round.
        over = entry([2, 2], [20, 200])
        under = entry([1, 1], [10, 100])
        self.assertEqual(figures.ratios(over, under, "cpu_us"), [2, 2, 2, 2])

    def test_a_lost_round_takes_its_pair_along_and_no_other(self):
        over = entry([2, None, 6])
        under = entry([1, 1, 2])
        self.assertEqual(figures.ratios(over, under, "cpu_us"), [2, 3])

    def test_sittings_of_others_are_not_paired(self):
        over, under = entry([2], [4]), entry([1], [1])
        over["sittings"][1]["number"] = 7
        self.assertEqual(figures.ratios(over, under, "cpu_us"), [2])

    def ratio_of_placed(self, *turns):
        """Of ratios with the readings before and after the turns of both contenders."""
        base = placed([(1.0, before, after) for _, before, after in turns])
        return figures.ratio(placed(turns), base, "cpu_us")

    def test_one_l3_and_two_count_alike_however_long_each_was(self):
        near, far = (2.0, 100, 110), (1.5, 450, 480)
        self.assertAlmostEqual(self.ratio_of_placed(*[near] * 12, *[far] * 48), 1.75)
        self.assertAlmostEqual(self.ratio_of_placed(*[near] * 48, *[far] * 12), 1.75)

    def test_turns_in_which_the_place_changed_count_for_neither(self):
        steady = [(2.0, 100, 110)] * 12 + [(1.5, 450, 480)] * 12
        self.assertAlmostEqual(self.ratio_of_placed(*steady, *[(9.0, 100, 480)] * 6), 1.75)
        # Nor those of which it changed between one contender's and the other's.
        over = placed(steady + [(9.0, 100, 100)] * 6)
        base = placed([(1.0, *readings) for _, *readings in steady] + [(1.0, 450, 450)] * 6)
        self.assertAlmostEqual(figures.ratio(over, base, "cpu_us"), 1.75)

    def test_a_place_that_was_hardly_seen_counts_for_what_it_was(self):
        near, far = (2.0, 100, 110), (1.0, 450, 480)
        # Too few, too small a part, enough of both.
        self.assertAlmostEqual(self.ratio_of_placed(*[near] * 100, *[far] * 9), 2)
        self.assertAlmostEqual(self.ratio_of_placed(*[near] * 300, *[far] * 14), 2)
        self.assertAlmostEqual(self.ratio_of_placed(*[near] * 100, *[far] * 10), 1.5)

    def test_where_nothing_was_timed_all_turns_count_alike(self):
        self.assertAlmostEqual(self.ratio_of_placed(*[(2.0, None, None)] * 20), 2)

    def test_doubt_and_sittings_know_of_the_places(self):
        # Each sitting is half near, half far, but the share differs: it is no doubt.
        turns = [[(2.0, 100, 100)] * (10 + at) + [(1.0, 450, 450)] * (20 - at) for at in range(10)]
        over = placed(*turns)
        base = placed(*[[(1.0, *readings) for _, *readings in each] for each in turns])
        self.assertEqual(figures.by_sitting(over, base, "cpu_us"), [1.5] * 10)
        self.assertLess(figures.doubt(over, base, "cpu_us"), 0.001)

    def shared(self, turns, shared, sittings=4):
        """Of turns at 1 and `shared` others at 1.2, in which another thread had part of the core;
        of each in each sitting."""
        figure_of = [1.0] * turns + [1.2] * shared
        over = entry(*[figure_of] * sittings)
        base = entry(*[[1.0] * len(figure_of)] * sittings)
        for found in (over, base):
            for one in found["rounds"]:
                one.update(units_us_before=31, units_us_after=31)
        for at in range(sittings * len(figure_of)):
            # Seen before or after, beside one contender or the other.
            if at % len(figure_of) >= turns:
                one = (over, base)[at % 2]["rounds"][at]
                one[("units_us_before", "units_us_after")[at // 2 % 2]] = 50
        return over, base, "cpu_us"

    def test_company_counts_for_the_same_in_runs_with_less_and_with_more(self):
        for turns, shared in ((16, 4), (10, 10), (12, 8)):
            self.assertAlmostEqual(figures.ratio(*self.shared(turns, shared)), 1.06)

    def test_few_turns_with_company_or_without_count_for_little(self):
        self.assertAlmostEqual(figures.ratio(*self.shared(95, 5)), 1.015)
        self.assertAlmostEqual(figures.ratio(*self.shared(5, 95)), 1.185)

    def test_where_the_core_was_nearly_always_shared_nobody_is_sure(self):
        for few in (self.shared(1, 20), self.shared(3, 60, 8)):  # turns, sittings
            self.assertFalse(figures.is_settled(*few))  # though its sittings are all alike
        # That of a run without any company is hardly off.
        self.assertTrue(figures.is_settled(*self.shared(24, 0, 8)))

    def test_few_turns_without_company_are_no_company(self):
        self.assertTrue(figures.is_settled(*self.shared(1, 0, 9)))
        self.assertTrue(figures.is_settled(*self.shared(24, 0, 2)))

    def dear_in(self, dear, sittings=16):
        """Of turns of which so many of 24 are dear."""
        often = entry(*[[1.0] * (24 - dear) + [1.7] * dear] * sittings)
        return often, entry(*[[1.0] * 24] * sittings)

    def test_one_that_is_dear_now_and_then_is_compared_by_its_other_turns(self):
        for dear in (1, 6, 12):
            over, under = self.dear_in(dear)
            self.assertEqual(figures.ratio(over, under, "cpu_us"), 1)
            self.assertTrue(figures.is_settled(over, under, "cpu_us"))
            share, times = figures.dear(over, under)
            self.assertAlmostEqual(share, dear / 24)
            self.assertEqual(times, 1.7)

    def test_two_runs_in_which_one_was_dear_for_unlike_parts_agree(self):
        # Whole sittings are, as seen of Asio's io_uring servers.
        def run(dear):
            by = [2.9 if at % 12 < dear else 1.0 for at in range(12)]
            return entry(*[[value] * 16 for value in by]), entry(*[[1.0] * 16] * 12), "cpu_us"
        first, second = run(1), run(5)
        self.assertEqual(figures.ratio(*first), figures.ratio(*second))
        self.assertTrue(figures.is_settled(*second))

    def test_where_nobody_can_tell_which_state_is_the_usual_one_no_ratio_is_known(self):
        for dear in (13, 18, 23):
            over, under = self.dear_in(dear)
            self.assertFalse(figures.is_settled(over, under, "cpu_us"))
            # No time that is given to it would change that.
            self.assertLess(figures.doubt_of_sittings(over, under, "cpu_us"), 0.001)
        for dear in (1, 6):  # the one that is compared with
            under, over = self.dear_in(dear)
            self.assertFalse(figures.is_settled(over, under, "cpu_us"))

    def test_dear_turns_of_a_place_are_those_of_that_place(self):
        over = placed([(2.0, 100, 100)] * 20 + [(1.2, 450, 450)] * 20)
        base = placed([(1.0, 100, 100)] * 20 + [(1.0, 450, 450)] * 20)
        self.assertIsNone(figures.dear(over, base))
        self.assertAlmostEqual(figures.ratio(over, base, "cpu_us"), 1.6)

    def test_other_figures_have_no_dear_turns(self):
        over, under = self.dear_in(12)
        for one in over["rounds"] + under["rounds"]:
            one["ns"] = one["cpu_us"]
        self.assertGreater(figures.ratio(over, under, "ns"), 1.2)

    def test_two_turns_that_went_wrong_are_not_now_and_then(self):
        for sittings in (16, 3):
            once, steady = (entry(*[[1.0] * 6] * sittings) for _ in range(2))
            once["rounds"][7]["cpu_us"], once["rounds"][12]["cpu_us"] = 9.0, 0.0
            self.assertTrue(figures.is_settled(once, steady, "cpu_us"))

    def test_a_figure_of_nothing_is_no_error(self):
        nothing, steady = (entry(*[[value] + [1.0] * 5] * 8) for value in (0.0, 1.0))
        self.assertTrue(figures.is_settled(nothing, steady, "cpu_us"))

    def test_two_runs_with_other_shares_of_a_place_agree(self):
        def run(near_of_ten):
            sittings = [[(2.0, 100, 100) if at < near_of_ten else (1.6, 450, 450)] * 6
                        for at in range(10)]
            base = placed(*[[(1.0, before, after) for _, before, after in turns]
                            for turns in sittings])
            return placed(*sittings), base, "cpu_us"
        first, second = run(2), run(7)
        self.assertAlmostEqual(figures.ratio(*first), figures.ratio(*second))
        means = [figures.middle_mean(figures.ratios(*each)) for each in (first, second)]
        self.assertGreater(means[1] / means[0], 1.1)  # what it would be otherwise

    def test_conditions_are_told_where_they_were_timed(self):
        works = [{"contenders": {"us": placed([(1.0, 100, 480)] * 4)}}]
        for one in works[0]["contenders"]["us"]["rounds"]:
            one.update(units_us_before=30, units_us_after=60)
        found = figures.conditions(works)
        self.assertEqual(found["one_l3"], "50.0% of the time")
        self.assertIn("50.0%", found["servers_core_shared"])
        self.assertEqual(figures.conditions([{"contenders": {"us": entry([1.0])}}]), {})
        for one in works[0]["contenders"]["us"]["rounds"]:
            del one["line_ns_after"]  # a look that failed
        self.assertEqual(figures.conditions(works), {})

    def test_a_single_sitting_tells_nothing_of_another_run(self):
        one = entry([1, 1, 1, 1])
        self.assertIsNone(figures.doubt(one, one, "cpu_us"))
        self.assertFalse(figures.is_settled(one, one, "cpu_us"))

    def test_doubt_comes_from_sittings_not_from_turns(self):
        steady = entry(*[[1.0] * 6 for _ in range(16)])
        # As many turns and as wide apart, within the sittings or between them.
        within = entry(*[[0.9, 1.1] * 3 for _ in range(16)])
        between = entry(*[[0.9] * 6 if at % 2 else [1.1] * 6 for at in range(16)])
        self.assertLess(figures.doubt(within, steady, "cpu_us"), 0.001)
        self.assertGreater(figures.doubt(between, steady, "cpu_us"), 0.05)

    def test_few_sittings_are_doubted_more_than_their_scatter_says(self):
        def of(sittings):
            by = [0.99 if at % 2 else 1.01 for at in range(sittings)]
            over = entry(*[[value] * 6 for value in by])
            return figures.doubt(over, entry(*[[1.0] * 6] * sittings), "cpu_us")
        # The square root of their number alone would make it 4.
        self.assertGreater(of(4) / of(64), 6)

    def test_settled_ratios_of_two_runs_are_alike(self):
        """The promise itself: of made-up pairs of runs, those that both are sure of."""
        sure = apart = 0
        for seed in range(60):
            ratios = []
            for run in (1, 2):
                over = noisy(1.2, 24, 0.05, f"over {seed} {run}")
                under = noisy(1.0, 24, 0.05, f"under {seed} {run}")
                if figures.is_settled(over, under, "cpu_us"):
                    ratios.append(figures.ratio(over, under, "cpu_us"))
            if len(ratios) == 2:
                sure += 1
                apart += abs(ratios[0] / ratios[1] - 1) > figures.SETTLED
        self.assertGreater(sure, 30)
        self.assertLessEqual(apart, 1)

    def test_no_range_is_below_nothing(self):
        self.assertGreater(figures.span(1.8, 5.0)[0], 0)
        low, high = figures.span(1.0, 0.1)
        self.assertAlmostEqual(low * high, 1)

    def test_all_ratios_of_a_whole_run_are_meant(self):
        # Both sides of a normal distribution beyond so many standard deviations, 280 times.
        self.assertLess(280 * math.erfc(figures.SURE / 2 ** 0.5), 0.05)

    def test_a_sitting_is_taken_in(self):
        taken = {"rounds": []}
        turns = [{"requests": 10, "cpu_us": 4.0}, {"requests": 0}, {"requests": 10, "cpu_us": 6.0}]
        figures.add_sitting(taken, 3, {"rounds": turns, "p50_us": 50, "user_share": 0.25})
        figures.add_sitting(taken, 5, {"rounds": turns, "p50_us": 70, "user_share": 0.25})
        self.assertEqual(taken["rounds"][1], None)
        self.assertEqual([one["number"] for one in taken["sittings"]], [3, 5])
        self.assertEqual((taken["p50_us"], taken["user_us"], taken["system_us"]), (60, 1.25, 3.75))

    def test_numbers_are_for_people(self):
        shown = map(figures.number, (None, 0, 163254, 37.12, 1.004, 0.0317))
        self.assertEqual(list(shown), ["", "0.00", "163,254", "37.1", "1.00", "0.0317"])
        self.assertEqual(figures.close(0.954), "0.954")


class Plan(unittest.TestCase):
    def test_names_are_unique_and_known(self):
        works = list(plan.works())
        self.assertEqual(len({work.name for work in works}), len(works))
        for work in works:
            self.assertLessEqual(set(work.contenders), set(plan.NAMES), work.name)

    def test_each_size_count_and_depth_is_echoed(self):
        names = {work.name for work in plan.works()}
        for connections in (1, 64, 1000):
            for size in (64, 1024, 16384, 65536):
                for depth in (1, 16):
                    self.assertIn(f"echo_{size}x{connections}x{depth}", names)

    def test_every_contender_is_alive_with_the_first(self):
        for work in plan.works():
            groups = work.split()
            others = [name for group in groups for name in group.names[1:]]
            if work.alone:
                self.assertEqual([group.names for group in groups],
                                 [[name] for name in work.contenders])
                continue
            self.assertEqual(sorted(others), sorted(work.contenders[1:]), work.name)
            for group in groups:
                self.assertEqual(group.names[0], work.contenders[0])
                self.assertTrue(work.together or len(group.names) <= plan.GROUP + 1, work.name)

    def group(self, scatter):
        work = next(work for work in plan.works() if work.name == "echo_64x1000x1")
        work.entries = {name: noisy(1, 16, scatter if at else 0.0001, name)
                        for at, name in enumerate(work.contenders)}
        group = work.split()[0]
        group.sat, group.seconds = 16, 8.0
        return work, group

    def test_what_is_settled_asks_for_no_time(self):
        work, group = self.group(0.001)
        self.assertEqual(work.seconds_to_settle(group), 0)

    def test_one_of_which_nobody_knows_the_usual_state_asks_for_no_time(self):
        work, group = self.group(0.001)
        dear = work.entries[group.names[1]]
        for at, one in enumerate(dear["rounds"]):  # of each sitting
            one["cpu_us"] = 2.0 if at % 6 else 1.0
        self.assertFalse(figures.is_settled(dear, work.entries[group.names[0]], "cpu_us"))
        self.assertEqual(work.seconds_to_settle(group), 0)

    def test_time_to_settle_goes_with_the_square_of_the_scatter(self):
        some, more = (work.seconds_to_settle(group)
                      for work, group in (self.group(0.07), self.group(0.14)))
        self.assertGreater(some, 0)
        self.assertAlmostEqual((more + 8) / (some + 8), 4, delta=0.8)


class Verdicts(unittest.TestCase):
    def judged(self, ours, theirs, limit, least=False):
        found = bars.Bars({"names": {"us": "Us", "them": "Them"}, "works": [
            {"name": "w", "contenders": {"us": ours, "them": theirs}}]})
        found.ratio("engine", "a bar", "w", "us", "them", "cpu_us", limit, least)
        return found.found[0]

    def test_met_and_missed(self):
        ours, theirs = noisy(0.9, 8, 0.01, 1), noisy(1, 8, 0.01, 2)
        self.assertEqual(self.judged(ours, theirs, 0.95)["verdict"], "met")
        self.assertEqual(self.judged(ours, theirs, 0.85)["verdict"], "missed")
        self.assertEqual(self.judged(ours, theirs, 0.95, least=True)["verdict"], "missed")

    def test_a_bar_knows_of_the_places_too(self):
        turns = [(0.9, 100, 100)] * 12 + [(0.7, 450, 450)] * 48
        base = placed([(1.0, *readings) for _, *readings in turns])
        self.assertAlmostEqual(self.judged(placed(turns), base, 1)["figure"], 0.8)

    def test_a_bar_gives_the_range_of_what_it_is_not_sure_of(self):
        base = noisy(1, 8, 0.01, 2)
        self.assertRegex(figures.of_bar(self.judged(noisy(1, 8, 0.01, 1), base, 1)), r"^[\d.]+$")
        bar = self.judged(noisy(1, 8, 0.5, 1), base, 1)
        self.assertRegex(figures.of_bar(bar), r"^0[\d.]+ to [\d.]+$")
        del bar["range"]  # as in reports of before it was told
        self.assertRegex(figures.of_bar(bar), r"^[\d.]+$")

    def test_a_peer_that_is_not_there_is_neither(self):
        gone = {"title": "Them", "rounds": [], "why": "not built: no libuv"}
        bar = self.judged(noisy(1, 8, 0.01, 1), gone, 0.95)
        self.assertEqual(bar["verdict"], "no figure: not built: no libuv")
        self.assertIsNone(bar["figure"])


class Compare(unittest.TestCase):
    def status(self, first, second):
        return self.of_works([first], [second])

    def both(self, first, second):
        """With another ratio, of which the runs are sure and alike."""
        return self.of_works([noisy(1.2, 24, 0.01, 3), first], [noisy(1.2, 24, 0.01, 4), second])

    def of_works(self, first, second):
        """Of two reports of works with a single ratio each."""
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, ratios in (("A.json", first), ("B.json", second)):
                paths.append(os.path.join(folder, name))
                works = [{"name": f"w{at}", "figure": "cpu_us", "contenders": {
                    "us": entry(*[[1.0] * 6] * len(over["sittings"])), "them": over}}
                         for at, over in enumerate(ratios)]
                with open(paths[-1], "w", encoding="utf-8") as file:
                    json.dump({"machine": {}, "works": works}, file)
            said = io.StringIO()
            words, sys.argv = sys.argv, ["compare.py", *paths]
            try:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    return compare.main(), said.getvalue()
            finally:
                sys.argv = words

    def test_alike(self):
        status, said = self.status(noisy(1.20, 24, 0.02, 1), noisy(1.22, 24, 0.02, 2))
        self.assertEqual(status, 0, said)
        self.assertIn("1 of 1 ratios within 5%", said)

    def test_apart(self):
        status, said = self.status(noisy(1.2, 24, 0.02, 1), noisy(1.3, 24, 0.02, 2))
        self.assertEqual(status, 1, said)
        self.assertIn("0 of 1 ratios within 5%", said)

    def test_what_one_run_is_sure_of_may_be_in_the_range_of_the_other(self):
        status, said = self.both(noisy(1.2, 24, 0.02, 1), noisy(1.5, 24, 0.8, 2))
        self.assertEqual(status, 0, said)
        self.assertIn("1 of 1 ratios within 5%", said)
        self.assertIn("0 refuted", said)

    def test_what_one_run_is_sure_of_may_not_be_refuted_by_the_range_of_the_other(self):
        status, said = self.both(noisy(1.0, 24, 0.02, 1), noisy(3.0, 24, 0.2, 2))
        self.assertEqual(status, 1, said)
        self.assertIn("1 of 1 ratios within 5%", said)
        self.assertIn("1 refuted", said)
        status, said = self.both(noisy(3.0, 24, 0.2, 2), noisy(1.0, 24, 0.02, 1))
        self.assertEqual(status, 1, said)

    def test_a_doubt_of_more_than_all_refutes_nothing_less_in_the_other_order(self):
        known, loose = noisy(1.0, 24, 0.02, 1), noisy(6.0, 4, 0.5, 5)
        for first, second in ((known, loose), (loose, known)):
            status, said = self.both(first, second)
            self.assertEqual(status, 1, said)

    def test_nothing_to_judge_is_no_success(self):
        status, said = self.status(noisy(1.2, 24, 0.5, 1), noisy(1.2, 24, 0.5, 2))
        self.assertEqual(status, 2, said)
        self.assertIn("sure of no ratio", said)


class Markdown(unittest.TestCase):
    def test_part_of_the_works_is_no_claim(self):
        for mode, command in (("smoke", "run.sh --smoke"), ("full", "run.sh --only echo")):
            self.assertTrue(markdown.refusal({"mode": mode, "command": command, "machine": {}}))

    def test_what_another_run_would_give_otherwise_is_a_range(self):
        contenders = {"us": noisy(1, 24, 0.01, 1), "steady": noisy(1.2, 24, 0.01, 2),
                      "dear": noisy(1.2, 24, 0.5, 3)}
        for one in contenders.values():
            one["median"] = {}
        shown = markdown.main_table({"works": [{"name": "echo_64x64x1", "kind": "micro",
                                                "contenders": contenders}]}).split("\n")[2:5]
        ratios = [line.split(" | ")[2] for line in shown]
        self.assertEqual(ratios[:2], ["1.00", "1.20"])
        self.assertRegex(ratios[2], r"^[\d.]+ to [\d.]+$")


if __name__ == "__main__":
    unittest.main()
