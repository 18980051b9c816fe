"""HTTP requests as steps.

`http_get`, `http_post` and `http_request` are actions for public addresses. `HttpClient` is for actions of one's
own: another address, a credential, other limits.
"""

from ksl.integrations.http.actions import http_get, http_post, http_request
from ksl.integrations.http.answer import HttpAnswer
from ksl.integrations.http.authorization import BasicLogin, BearerToken, HeaderSecret
from ksl.integrations.http.client import RETRY, HttpClient
from ksl.integrations.http.errors import AddressRefused, HttpBusy, HttpError, HttpRefused, HttpUnavailable

__all__ = [
    "RETRY",
    "AddressRefused",
    "BasicLogin",
    "BearerToken",
    "HeaderSecret",
    "HttpAnswer",
    "HttpBusy",
    "HttpClient",
    "HttpError",
    "HttpRefused",
    "HttpUnavailable",
    "http_get",
    "http_post",
    "http_request",
]
