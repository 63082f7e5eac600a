"""How static files are served: compressed, and under names that change with their content."""

from __future__ import annotations

from django.conf import settings
from whitenoise.storage import CompressedManifestStaticFilesStorage

#: ``import … from "./site.js";`` at the beginning of a line.
_IMPORT = (
    r"""(?m)(?P<matched>^import (?P<names>.+?) from "(?P<url>\./[^"]+)";)""",
    'import %(names)s from "%(url)s";',
)


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """A script of ours names another by its name of today: files under plain names are not kept.

    Django can do this for all scripts, but then packages whose scripts name what they don't bring stop it.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        *((path.name, (_IMPORT,)) for path in settings.STATICFILES_DIRS[0].glob("*.js")),
    )
