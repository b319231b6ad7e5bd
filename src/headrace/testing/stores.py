"""Conformance suites for the stores: whoever writes an adapter derives a class, gives it a store, and runs pytest.

    class TestMyTables(TableStoreSuite):
        def make_store(self, folder):
            return MyTableStore(folder)

`make_store` is called with the same folder for a second store of the same content. A store that needs no folder uses
its name to tell one test from another.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
from polars.testing import assert_frame_equal

from headrace.ports.mappings import changed, pieced, trees
from headrace.ports.records import REFS, Manifest, Ref
from headrace.ports.stores import Change, RowsFile
from headrace.testing.expectations import expect, expect_coded

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.stores import ArtefactStore, ManifestStore, TableStore


def key_of(number: int) -> str:
    """A key as the ledger makes them: 64 hexadecimal digits, different in the first sixteen."""
    return f"{number:016x}{'0' * 48}"


def rows(*values: int) -> pl.DataFrame:
    """A frame of the given numbers with a column of every plain type."""
    moments = [datetime(2026, 1, 1, 0, 0, value % 60, 123456, tzinfo=UTC) for value in values]
    return pl.DataFrame(
        {
            "number": pl.Series(values, dtype=pl.Int64),
            "text": pl.Series([None if value % 3 == 0 else f"é{value}" for value in values], dtype=pl.String),
            "real": pl.Series([value / 7 for value in values], dtype=pl.Float64),
            "flag": pl.Series([value % 2 == 0 for value in values], dtype=pl.Boolean),
            "moment": pl.Series(moments, dtype=pl.Datetime("us", "UTC")),
            "bytes": pl.Series([bytes([value % 256]) for value in values], dtype=pl.Binary),
            "list": pl.Series([[value, None] for value in values], dtype=pl.List(pl.Int64)),
        }
    )


class TableStoreSuite:
    """What every `TableStore` must do."""

    def make_store(self, folder: Path) -> TableStore:
        """A store over the folder. To be written by the derived class."""
        raise NotImplementedError

    def test_any_engine_can_read_the_files(self, tmp_path: Path) -> None:
        """Those of one version, in the order of its rows."""
        store = self.make_store(tmp_path)
        first = store.write(key_of(0), "table", rows(1, 2))
        second = store.write(key_of(1), "table", rows(4, 3), first, Change((0,)))
        for ref in (first, second):
            found = pl.concat([pl.read_parquet(file, glob=False) for file in store.files(ref)])
            assert_frame_equal(found, store.scan(ref).collect())

    def test_rows_come_back_as_they_went_in(self, tmp_path: Path) -> None:
        """Values, order, types and names."""
        store = self.make_store(tmp_path)
        frame = rows(3, 1, 2, 0)
        ref = store.write(key_of(1), "some.table", frame)
        assert_frame_equal(store.scan(ref).collect(), frame)
        expect(ref.store == "table", "the reference names the kind of store")

    def test_no_rows_keep_their_columns(self, tmp_path: Path) -> None:
        """An empty table has a schema."""
        store = self.make_store(tmp_path)
        ref = store.write(key_of(1), "table", rows())
        assert_frame_equal(store.scan(ref).collect(), rows())
        more = store.write(key_of(2), "table", rows(1), ref)
        assert_frame_equal(store.scan(more).collect(), rows(1))

    def test_appended_rows_come_after_those_of_the_base(self, tmp_path: Path) -> None:
        """Each version stays what it was."""
        store = self.make_store(tmp_path)
        first = store.write(key_of(1), "table", rows(2, 1))
        second = store.write(key_of(2), "table", rows(0), first)
        third = store.write(key_of(3), "table", rows(), second)
        fourth = store.write(key_of(4), "table", rows(4, 3), third)
        for ref, expected in (
            (first, rows(2, 1)),
            (second, rows(2, 1, 0)),
            (third, rows(2, 1, 0)),
            (fourth, rows(2, 1, 0, 4, 3)),
        ):
            assert_frame_equal(store.scan(ref).collect(), expected)
            store.verify(ref)

    def test_the_difference_of_two_versions(self, tmp_path: Path) -> None:
        """What was appended; what came and went where rows were left out; and nothing where little is shared."""
        store = self.make_store(tmp_path)
        first = store.write(key_of(1), "table", rows(2, 1))
        second = store.write(key_of(2), "table", rows(0), first)
        third = store.write(key_of(3), "table", rows(4, 3), second)
        fork = store.write(key_of(4), "table", rows(5), first)
        less = store.write(key_of(5), "table", rows(6), third, Change(less=(2,)))
        alone = store.write(key_of(6), "table", rows(2, 1, 0))
        gone = store.write(key_of(7), "other", rows(2, 1))
        store.remove(gone.path)
        for ref, base, expected in (
            (second, first, rows(0)),
            (third, first, rows(0, 4, 3)),
            (third, third, rows()),
            (fork, first, rows(5)),
            (alone, first, None),
            (second, gone, None),
        ):
            found = store.difference(ref, base)
            expect((found is None) == (expected is None), "what shares little, or is gone, has no difference")
            if found is not None and expected is not None:
                expect(found.gone is None and found.behind, "where rows are appended, none is gone")
                assert_frame_equal(found.new.collect(), expected)
        for ref, base in ((less, third), (fork, second)):
            found = store.difference(ref, base)
            expect(found is not None and found.gone is not None, "where rows are left out, some may be gone")
            if found is not None and found.gone is not None:
                before, now = (set(store.scan(each).collect()["number"]) for each in (base, ref))
                left, came = set(found.gone.collect()["number"]), set(found.new.collect()["number"])
                expect(before - left | came == now, "the rest is what both share")
                expect(left - came == before - now, "what is in both was only written again")

    def test_rows_go_where_the_change_says(self, tmp_path: Path) -> None:
        """Each piece behind so many rows of the base, also where rows of the base go; none is gone otherwise."""
        store = self.make_store(tmp_path)
        base = store.write(key_of(1), "table", rows(1, 2, 3), change=Change(pieces=(1, 2)))
        change = Change((), (1, 2, 1, 1), (0, 1, 1, 3))
        more = store.write(key_of(2), "table", rows(4, 5, 6, 7, 8), base, change)
        less = store.write(key_of(3), "table", rows(9), more, Change((0, 3), (1,), (1,)))
        for ref, expected in ((more, rows(4, 1, 5, 6, 7, 2, 3, 8)), (less, rows(9, 1, 5, 7, 2, 3, 8))):
            assert_frame_equal(self.make_store(tmp_path).scan(ref).collect(), expected)
            store.verify(ref)
        found = store.difference(more, base)
        if found is not None:
            expect(found.gone is None and not found.behind, "new rows lie between those that are there")
            assert_frame_equal(found.new.collect(), rows(4, 5, 6, 7, 8))

    def test_rows_can_be_left_out_of_the_base(self, tmp_path: Path) -> None:
        """What is left keeps its order, and the new rows come after it; the base stays what it was."""
        store = self.make_store(tmp_path)
        base = store.write(key_of(1), "table", rows(1, 2, 3, 4), change=Change(pieces=(1, 3)))
        less = store.write(key_of(2), "table", rows(5), base, Change(less=(0, 2)))
        fork = store.write(key_of(3), "table", rows(6), base, Change(less=(1,)))
        nothing = store.write(key_of(4), "table", rows(), less, Change(less=(0, 1, 2)))
        more = store.write(key_of(5), "table", rows(7, 8), nothing, Change(pieces=(1, 1)))
        for ref, expected in (
            (base, rows(1, 2, 3, 4)),
            (less, rows(2, 4, 5)),
            (fork, rows(1, 3, 4, 6)),
            (nothing, rows()),
            (more, rows(7, 8)),
        ):
            assert_frame_equal(store.scan(ref).collect(), expected)
            store.verify(ref)
        again = self.make_store(tmp_path).write(key_of(2), "table", rows(5), base, Change(less=(0, 2)))
        expect(again == less, "a change is written once")

    def test_rows_can_come_piece_by_piece(self, tmp_path: Path) -> None:
        """As a query, as frames, or as a draft, which can be read before it is written."""
        store = self.make_store(tmp_path)
        base = store.write(key_of(1), "table", rows(0, 1).lazy())
        second = store.write(key_of(2), "table", iter([rows(2), rows(), rows(3)]), base)
        draft = store.draft("table")
        for piece in (rows(4), rows(5, 6)):
            draft.add(piece)
        assert_frame_equal(draft.lazy().collect(), rows(4, 5, 6))
        assert_frame_equal(draft.head(2), rows(4, 5))
        assert_frame_equal(pl.concat(draft.frames()), rows(4, 5, 6))
        expect(draft.height == 3 and not draft.is_empty(), "a draft counts its rows")  # noqa: PLR2004 - those above
        expect(draft.columns == rows().columns and draft.schema == rows().schema, "a draft has the columns of its rows")
        third = store.write(key_of(3), "table", draft, second)
        for ref, expected in ((base, rows(0, 1)), (second, rows(0, 1, 2, 3)), (third, rows(*range(7)))):
            assert_frame_equal(store.scan(ref).collect(), expected)
            store.verify(ref)

    def test_a_draft_takes_a_file_as_it_is(self, tmp_path: Path) -> None:
        """Behind the rows that came before it, if its columns are those; neither harms the other when it goes."""
        store = self.make_store(tmp_path)
        file, other = tmp_path / "landed.parquet", tmp_path / "other.parquet"
        rows(2, 3).write_parquet(file)
        rows(5).select(pl.all().name.suffix("_")).write_parquet(other)
        landed = RowsFile(file, hashlib.sha256(file.read_bytes()).hexdigest(), 2)
        draft = store.draft("table")
        draft.add(rows(1))
        expect(draft.link(landed), "a file of the same columns is taken")
        expect(not draft.link(RowsFile(other, "", 1)), "a file of other columns is not")
        draft.add(rows(4))
        assert_frame_equal(draft.lazy().collect(), rows(1, 2, 3, 4))
        assert_frame_equal(pl.concat(draft.frames()), rows(1, 2, 3, 4))
        first = store.write(key_of(1), "table", draft)
        again = store.draft("table")
        expect(again.link(landed), "a file can be taken twice")
        second = store.write(key_of(2), "table", again, first)
        file.unlink()
        for ref, expected in ((first, rows(1, 2, 3, 4)), (second, rows(1, 2, 3, 4, 2, 3))):
            assert_frame_equal(store.scan(ref).collect(), expected)
            store.verify(ref)

    def test_one_base_can_be_continued_twice(self, tmp_path: Path) -> None:
        """The second continuation does not see the first."""
        store = self.make_store(tmp_path)
        base = store.write(key_of(1), "table", rows(1))
        left = store.write(key_of(2), "table", rows(2), base)
        right = store.write(key_of(3), "table", rows(3), base)
        further = store.write(key_of(4), "table", rows(4), right)
        assert_frame_equal(store.scan(left).collect(), rows(1, 2))
        assert_frame_equal(store.scan(right).collect(), rows(1, 3))
        assert_frame_equal(store.scan(further).collect(), rows(1, 3, 4))

    def test_a_key_is_written_once(self, tmp_path: Path) -> None:
        """The second write answers what the first did, another store of the same content too."""
        store = self.make_store(tmp_path)
        base = store.write(key_of(1), "table", rows(1))
        more = store.write(key_of(2), "table", rows(2), base)
        again = self.make_store(tmp_path)
        expect(again.write(key_of(1), "table", rows(1)) == base, "a whole table is written once")
        expect(again.write(key_of(2), "table", rows(2), base) == more, "rows are appended once")
        assert_frame_equal(again.scan(more).collect(), rows(1, 2))

    def test_one_key_can_have_tables_of_several_names(self, tmp_path: Path) -> None:
        """A table and what was set aside from it, for instance."""
        store = self.make_store(tmp_path)
        table = store.write(key_of(1), "table", rows(1))
        aside = store.write(key_of(1), "table.quarantine", rows(2))
        assert_frame_equal(store.scan(table).collect(), rows(1))
        assert_frame_equal(store.scan(aside).collect(), rows(2))

    def test_equal_content_has_an_equal_digest(self, tmp_path: Path) -> None:
        """Made again after it was removed, a version proves to be the same."""
        store = self.make_store(tmp_path)
        first = store.write(key_of(1), "table", rows(1, 2))
        other = store.write(key_of(2), "table", rows(1, 3))
        store.remove(first.path)
        expect(store.write(key_of(1), "table", rows(1, 2)).digest == first.digest, "the same rows, the same digest")
        expect(other.digest != first.digest, "other rows, another digest")

    def test_what_is_removed_is_gone_and_nothing_else(self, tmp_path: Path) -> None:
        """A fork outlives the directory that it was forked from."""
        store = self.make_store(tmp_path)
        base = store.write(key_of(1), "table", rows(1))
        store.write(key_of(2), "table", rows(2), base)
        fork = store.write(key_of(3), "table", rows(3), base)
        expect(sorted({base.path, fork.path}) == list(store.paths()), "the directories are listed")
        expect(store.size(base.path) > 0, "a directory has a size")
        store.remove(base.path)
        store.remove(base.path)
        expect(list(store.paths()) == [fork.path], "a removed directory is not listed")
        assert_frame_equal(store.scan(fork).collect(), rows(1, 3))
        expect_coded(lambda: store.verify(base), "to verify what was removed is a coded error")
        expect_coded(lambda: store.scan(base).collect(), "to read what was removed is a coded error")


class ArtefactStoreSuite:
    """What every `ArtefactStore` must do."""

    def make_store(self, folder: Path) -> ArtefactStore:
        """A store over the folder. To be written by the derived class."""
        raise NotImplementedError

    def test_bytes_come_back(self, tmp_path: Path) -> None:
        """By content, by path, and by another store of the same content."""
        store = self.make_store(tmp_path)
        for content in (b"", b"abc", bytes(range(256)) * 1000):
            ref = store.put(content, ".bin")
            expect(self.make_store(tmp_path).get(ref) == content, "the bytes come back")
            expect(store.path(ref).read_bytes() == content, "the path leads to the bytes")
            expect(store.path(ref).name.endswith(".bin"), "the suffix is kept")
            expect(store.size(ref.path) == len(content), "the size is that of the bytes")
            expect(ref.store == "artefact", "the reference names the kind of store")
            store.verify(ref)

    def test_equal_content_is_stored_once(self, tmp_path: Path) -> None:
        """The name is the digest."""
        store = self.make_store(tmp_path)
        expect(store.put(b"abc") == store.put(b"abc"), "the same bytes, the same reference")
        expect(store.put(b"abc").digest != store.put(b"abd").digest, "other bytes, another digest")
        expect(len(store.paths()) == 2, "two contents, two artefacts")  # noqa: PLR2004 - "abc" and "abd"

    def test_a_finished_file_is_moved_in(self, tmp_path: Path) -> None:
        """From the scratch folder, which no reader sees."""
        store = self.make_store(tmp_path)
        file = store.scratch() / "file"
        file.write_bytes(b"abc")
        expect(not store.paths(), "a file under construction is not listed")
        ref = store.adopt(file, ".txt")
        expect(ref == store.put(b"abc", ".txt"), "a file and its bytes are the same artefact")
        expect(not file.exists(), "the file was moved")
        file.write_bytes(b"abc")
        expect(store.adopt(file, ".txt", ref.digest) == ref, "a digest that is known need not be counted")

    def test_scratch_folders_are_apart(self, tmp_path: Path) -> None:
        """Each call answers another one."""
        store = self.make_store(tmp_path)
        expect(store.scratch() != store.scratch(), "two users do not meet")

    def test_what_is_removed_is_gone(self, tmp_path: Path) -> None:
        """And removing it again is no error."""
        store = self.make_store(tmp_path)
        ref, other = store.put(b"abc"), store.put(b"abd")
        store.remove(ref.path)
        store.remove(ref.path)
        expect(list(store.paths()) == [other.path], "a removed artefact is not listed")
        for act in (store.get, store.path, store.verify):
            expect_coded(partial(act, ref), "to use what was removed is a coded error")

    def test_a_reference_does_not_lead_out(self, tmp_path: Path) -> None:
        """Whatever stands in a ledger."""
        store = self.make_store(tmp_path / "store")
        (tmp_path / "secret").write_bytes(b"abc")
        digest = store.put(b"abc").digest
        expect_coded(lambda: store.get(Ref("artefact", "../secret", digest)), "a path out of the store is refused")


class ManifestStoreSuite:
    """What every `ManifestStore` must do."""

    def make_store(self, folder: Path) -> ManifestStore:
        """A store over the folder. To be written by the derived class."""
        raise NotImplementedError

    def test_a_manifest_comes_back(self, tmp_path: Path) -> None:
        """From another store of the same content too."""
        store = self.make_store(tmp_path)
        manifest = Manifest(
            key_of(1),
            {"rows": Ref("table", "name/key", "digest", 3), "model": Ref("artefact", "ab/abc", "abc")},
            {"rows": 3, "metrics": {"auc": 0.1}, "text": "é\n", "none": None, "list": [1, 2.5, True]},
        )
        store.put(manifest)
        store.put(Manifest(key_of(2)))
        again = self.make_store(tmp_path)
        expect(again.get(key_of(1)) == manifest, "the manifest comes back")
        expect(again.get(key_of(2)) == Manifest(key_of(2)), "an empty one too")
        expect(sorted(again.keys()) == [key_of(1), key_of(2)], "the keys are listed")

    def test_pieces_of_a_manifest_come_back(self, tmp_path: Path) -> None:
        """Those that lie elsewhere are fetched; without them there is no manifest."""
        store = self.make_store(tmp_path)
        many = {f"{number:04}": Ref("artefact", f"ab/{number}", "d") for number in range(200)}
        before = pieced(many, REFS)
        after = changed(before, {"0200": Ref("artefact", "ab/200", "d")}, (), REFS)
        elsewhere = {digest: text for tree in trees(before) for digest, text in tree.missing(()).items()}
        manifest = Manifest(key_of(1), after, {"batches": pieced({name: {"rows": 1} for name in many})})
        store.put(manifest)
        expect(self.make_store(tmp_path).get(key_of(1)) == manifest, "with all its pieces")
        store.put(manifest, elsewhere)
        again = self.make_store(tmp_path)
        found = again.get(key_of(1), lambda digests: {each: elsewhere[each] for each in digests if each in elsewhere})
        expect(found == manifest, "with pieces from elsewhere")
        expect(again.get(key_of(1)) is None, "without them, there is none")

    def test_no_manifest_is_none(self, tmp_path: Path) -> None:
        """A step that did not finish is no error."""
        store = self.make_store(tmp_path)
        expect(store.get(key_of(1)) is None, "a key without a manifest")
        expect(list(store.keys()) == [], "an empty store")

    def test_the_last_manifest_of_a_key_stands(self, tmp_path: Path) -> None:
        """A version that was damaged is made again."""
        store = self.make_store(tmp_path)
        store.put(Manifest(key_of(1), facts={"try": 1}))
        store.put(Manifest(key_of(1), facts={"try": 2}))
        expect(store.get(key_of(1)) == Manifest(key_of(1), facts={"try": 2}), "the last one stands")

    def test_what_is_removed_is_gone(self, tmp_path: Path) -> None:
        """And removing it again is no error."""
        store = self.make_store(tmp_path)
        store.put(Manifest(key_of(1)))
        store.remove(key_of(1))
        store.remove(key_of(1))
        expect(store.get(key_of(1)) is None, "it is gone")
        expect(list(store.keys()) == [], "and not listed")
