"""How the API knows who asks: ``Authorization: Bearer at_…`` (the word ``Token`` does as well)."""

from __future__ import annotations

from django.contrib.auth.models import User
from knox.crypto import hash_token
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from actors.tokens import AccessToken

WORDS = (b"bearer", b"token")


class TokenAuthentication(BaseAuthentication):
    """Looks the token's hash up. knox's own class deletes expired rows, so nobody could say why it fails."""

    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:
        """The person and the token; None when the header speaks of something else."""
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() not in WORDS:
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("Send the token as: Authorization: Bearer at_…")
        digest = hash_token(parts[1].decode("latin-1"))
        token = AccessToken.objects.select_related("user").filter(pk=digest).first()
        if token is None or not token.user.is_active:
            raise AuthenticationFailed("This token is not valid. It may have been revoked.")
        if token.has_expired:
            raise AuthenticationFailed("This token has expired. Make a new one on your tokens page.")
        token.mark_used()
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Makes a missing login a 401."""
        return "Bearer"
