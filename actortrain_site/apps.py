"""The site's admin, as an app."""

from django.contrib.admin.apps import AdminConfig


class StudioAdminConfig(AdminConfig):
    """Makes every ``admin.register`` land on the studio's admin."""

    default_site = "actors.admin_site.StudioAdmin"
