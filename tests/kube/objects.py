"""Reads and writes objects of any kind on the API server, by its own list of kinds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

Object = dict[str, Any]
WAIT_S: Final = 60
MANAGER: Final = "kube-check"


class RefusedError(Exception):
    """The API server refused a request; the message is its own."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind as the API server lists it."""

    api_version: str
    name: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str) -> str:
        """Return the path of the collection."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{root}/{self.plural}"


@dataclass(slots=True)
class Objects:
    """All objects of an API server. Calls raise RefusedError where the server refuses."""

    client: httpx.Client
    _kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)

    def kinds(self) -> Mapping[tuple[str, str], Kind]:
        """Return the kinds by API version and name. The list is read once, and again after `forget_kinds`."""
        if not self._kinds:
            groups = self._get("/apis")["groups"]
            versions = ["v1", *(v["groupVersion"] for group in groups for v in group["versions"])]
            for version in versions:
                root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
                for each in self._get(root)["resources"]:
                    if "/" not in each["name"]:
                        verbs = frozenset(each["verbs"])
                        kind = Kind(version, each["kind"], each["name"], each["namespaced"], verbs)
                        self._kinds[version, each["kind"]] = kind
        return self._kinds

    def kind(self, document: Mapping[str, Any]) -> Kind:
        """Return the kind of a document. Raises RefusedError for one that the server does not know."""
        found = self.kinds().get((document["apiVersion"], document["kind"]))
        if found is None:
            raise RefusedError(f"no kind {document['kind']} in {document['apiVersion']}")
        return found

    def define(self, definitions: list[Object]) -> None:
        """Install definitions of custom resources, and wait until the server has established them."""
        for definition in definitions:
            self.apply(definition, "")
        deadline = time.monotonic() + WAIT_S
        for definition in definitions:
            path = self._path(definition, "")
            while not _has_condition(self._get(path), "Established"):
                if time.monotonic() > deadline:
                    raise RefusedError(f"{definition['metadata']['name']} was not established within {WAIT_S} s")
                time.sleep(0.1)
        self._kinds.clear()

    def apply(self, document: Object, namespace: str, *, dry_run: bool = False, manager: str = MANAGER) -> Object:
        """Apply a document on the server, with strict validation of its fields. Returns the object as the server has it."""
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        headers = {"Content-Type": "application/apply-patch+yaml"}
        path = self._path(document, namespace)
        return _checked(self.client.patch(path, params=query, json=document, headers=headers))

    def create_dry(self, document: Object, namespace: str) -> Object:
        """Validate and admit a new object without storing it."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        return _checked(self.client.post(self.kind(document).path(namespace), params=query, json=document))

    def get(self, document: Mapping[str, Any], namespace: str) -> Object | None:
        """Return the object with the document's kind and name, or None."""
        answer = self._asked(self._path(document, namespace))
        return None if answer.status_code == httpx.codes.NOT_FOUND else _checked(answer)

    def patch_status(self, document: Mapping[str, Any], namespace: str, status: Mapping[str, Any]) -> None:
        """Write an object's status, as its controller does."""
        headers = {"Content-Type": "application/merge-patch+json"}
        path = f"{self._path(document, namespace)}/status"
        _checked(self.client.patch(path, json={"status": status}, headers=headers))

    def all(self, api_version: str, kind: str, namespace: str) -> list[Object]:
        """Return the objects of one kind in a namespace."""
        found = self._get(self.kinds()[api_version, kind].path(namespace))["items"]
        return [{"apiVersion": api_version, "kind": kind, **each} for each in found]

    def labelled(self, namespace: str, selector: str) -> Iterator[Object]:
        """Yield the objects of every kind in a namespace that have the labels."""
        for kind in dict.fromkeys(self.kinds().values()):
            if kind.namespaced and "list" in kind.verbs:
                found = self._get(kind.path(namespace), labelSelector=selector)["items"]
                yield from ({"apiVersion": kind.api_version, "kind": kind.name, **each} for each in found)

    def _path(self, document: Mapping[str, Any], namespace: str) -> str:
        metadata = document["metadata"]
        return f"{self.kind(document).path(metadata.get('namespace', namespace))}/{metadata['name']}"

    def _get(self, path: str, **query: str) -> Object:
        return _checked(self._asked(path, **query))

    def _asked(self, path: str, **query: str) -> httpx.Response:
        """Read. The server fills the cache of a new kind at the first request, and asks to repeat it."""
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = self.client.get(path, params=query)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                return answer
            time.sleep(0.1)


def _checked(answer: httpx.Response) -> Object:
    if answer.is_error:
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError):
            message = f"HTTP {answer.status_code}: {answer.text[:300]}"
        raise RefusedError(str(message))
    loaded: Object = answer.json()
    return loaded


def _has_condition(found: Object, name: str) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == name and each["status"] == "True" for each in conditions)
