"""Adds up the test reports of a folder: every NAME.status (exit status of a test program) with its NAME.xml (JUnit report).
Prints what failed or was skipped, then "N passed, N failed"; a program that died without a report counts as one failure."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def count(report: Path) -> tuple[int, list[str], list[str]]:
    """Passed, names of the failed, names of the skipped with the reason."""
    passed, failed, skipped = 0, [], []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif skip is not None or case.get("status") == "notrun" or case.get("result") == "skipped":
            reason = "" if skip is None else (skip.get("message") or skip.text or "").strip().splitlines()[-1:]
            skipped.append(f"{name}: {''.join(reason)}")
        else:
            passed += 1
    return passed, failed, skipped


def main(folder: Path) -> int:
    passed, failed, skipped = 0, [], []
    for status_file in sorted(folder.glob("*.status")):
        report = status_file.with_suffix(".xml")
        status = int(status_file.read_text())
        failed_before = len(failed)
        if report.exists():
            p, f, s = count(report)
            passed, failed, skipped = passed + p, failed + f, skipped + s
        if status != 0 and len(failed) == failed_before:
            failed.append(f"{report.stem} tests: ended with status {status} and " + ("no failed test" if report.exists() else "no report"))
    for line in skipped:
        print(f"skipped: {line}")
    for line in failed:
        print(f"FAILED: {line}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
