"""The files that are written once every chunk has been searched for."""

import contextlib
import json
import os

from keras_paligemma.data.deduplication.contact_sheet import ContactSheet
from keras_paligemma.data.deduplication.near_duplicate_index import MEASURES
from keras_paligemma.data.deduplication.shards import whole_file
from keras_paligemma.data.deduplication.steps import read_matches
from keras_paligemma.data.problems import Problems


def write_outputs(outputs, chunks, work, report):
    """Writes the lines that stay, and what was found about the others.

    One chunk is in memory at a time. All files take their names at the end.

    Args:
        outputs: dict of the path of a file of data to that of its output.
        chunks: list of `Chunk`, of all files of data.
        work: str. The folder of what `search_chunk` found.
        report: str. The folder for `removed.jsonl`, `skipped.jsonl` and
            `pairs.png`.

    Returns:
        dict of counts.
    """
    counts = {"records": 0, "images": 0, "kept": 0, "removed": 0}
    by_measure = dict.fromkeys(MEASURES, 0)
    problems = Problems("skip")
    sheet = ContactSheet()
    with contextlib.ExitStack() as stack:

        def open_whole(path):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            return stack.enter_context(whole_file(path))

        files = {path: open_whole(out) for path, out in outputs.items()}
        removed = open_whole(os.path.join(report, "removed.jsonl"))
        skipped = open_whole(os.path.join(report, "skipped.jsonl"))
        for number, chunk in enumerate(chunks):
            found = read_matches(work, number)
            counts["images"] += found["images"]
            faulty = set()
            for line, reason, message in found["problems"]:
                problems.report(reason, message)
                faulty.add(line)
                row = {"data": chunk.path, "line": line, "reason": reason}
                _write_line(skipped, {**row, "message": message})
            matched = {}
            for match in found["matches"]:
                # Of several images of a record, the first is reason enough.
                matched.setdefault(match["line"], match)
            for line, text in chunk.lines():
                if not text.strip():
                    continue
                counts["records"] += 1
                if line in faulty:
                    continue
                if line not in matched:
                    counts["kept"] += 1
                    files[chunk.path].write(text)
                    continue
                match = matched[line]
                counts["removed"] += 1
                by_measure[match["measure"]] += 1
                _write_line(removed, {"data": chunk.path, **match})
                sheet.add(match)
        with whole_file(os.path.join(report, "pairs.png")) as file:
            sheet.draw().save(file, "PNG")
    return {
        **counts,
        "skipped": sum(problems.counts.values()),
        "removed_by_measure": by_measure,
        "skipped_by_reason": problems.counts,
        "outputs": outputs,
        "report": report,
    }


def _write_line(file, fields):
    file.write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
