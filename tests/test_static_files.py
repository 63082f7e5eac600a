"""Scripts as the started site serves them: under names that change with their content."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from django.conf import settings

from actortrain_site.static_files import StaticFiles

OWN = Path(settings.STATICFILES_DIRS[0])


def test_a_script_names_others_as_they_are_served(tmp_path: Path) -> None:
    for script in OWN.glob("*.js"):
        shutil.copy(script, tmp_path)
    storage = StaticFiles(location=str(tmp_path), base_url="/static/")
    names = [script.name for script in tmp_path.glob("*.js")]
    for _name, _hashed, done in storage.post_process({name: (storage, name) for name in names}):
        assert not isinstance(done, Exception)
    named = {
        address
        for name in names
        for address in re.findall(r'from "\./([^"]+)"', (tmp_path / storage.stored_name(name)).read_text())
    }
    imported = {"bell.js", "site.js", "upload-store.js"}
    assert imported.isdisjoint(named)
    assert named == {storage.stored_name(name) for name in imported}


def test_no_script_names_another_in_a_way_that_is_not_seen() -> None:
    for script in OWN.glob("*.js"):
        lines = [line for line in script.read_text().splitlines() if re.search(r"\bimport\b.*[\"']\.", line)]
        assert all(re.fullmatch(r'import .+ from "\./[\w-]+\.js";', line) for line in lines), script.name
