"""Privacy: what is personal or secret in a text, what happens to it at write, and what is here already (5.5.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pymemos.cube.policy import PrivacyRule, parse_handling, parse_kinds
from pymemos.cube.privacy import Found, Handling, Kind
from pymemos.facade.access import Access
from pymemos.infrastructure.privacy.scanning import check_available, scan
from pymemos.interface import privacy
from pymemos.interface.arguments import check_text
from pymemos.interface.privacy import Scanned


def detect(text: str, kinds: Sequence[Kind | str] | None = None) -> tuple[Found, ...]:
    """Where a text holds what is personal or secret."""
    wanted = None if kinds is None else parse_kinds(kinds)
    check_available(wanted or ())
    return scan(text, wanted)


class Privacy(Access):
    """The methods on personal data and secrets."""

    def detect(self, text: str, *, kinds: Sequence[Kind | str] | None = None) -> Sequence[Found]:
        """Where a text holds what is personal or secret: places and kinds; nothing is kept of it.

        Without ``kinds`` it is all that can be found with what is installed: IBANs and national ids take the extra
        ``pymemos[privacy]``.
        """
        return detect(check_text(text, "the text", limit=self._settings.text_limit), kinds)

    def set_privacy_policy(
        self,
        policy: Mapping[str, str],
        *,
        note: str = "",
        user_id: str | None = None,
        agent_id: str | None = None,
        namespace: str | None = None,
    ) -> Mapping[Kind, Handling]:
        """Say what happens to each kind that is written: ``{"email": "tag", "card": "redact", "api_key": "refuse"}``.

        It holds for a namespace, or for the whole store (``namespace="*"``, the steward alone); where both name a kind,
        the stricter does. A kind that none names is tagged. Access rules can then ask for the label.
        """
        handled = parse_handling(policy)
        check_available([kind for kind, how in handled.items() if how is not Handling.IGNORE])
        who, scope = self._place(user_id, agent_id, namespace)
        request = privacy.SetStorePrivacy if scope.namespace == "*" else privacy.SetPrivacy
        self._dispatch((who, scope), request(policy=PrivacyRule(handling=handled, note=note)))
        return handled

    def privacy_policy(
        self, *, user_id: str | None = None, agent_id: str | None = None, namespace: str | None = None
    ) -> Mapping[Kind, Handling]:
        """What happens to each kind when it is written to a namespace."""
        held: Mapping[Kind, Handling] = self._dispatch(
            self._in(self._bind(user_id, agent_id), namespace), privacy.ReadPrivacy()
        )
        return held

    def scan_privacy(
        self, *, user_id: str | None = None, agent_id: str | None = None, dry_run: bool = False
    ) -> Scanned:
        """Look through what is there already, and label what lacks its labels: one's own, or, for a steward, all.

        Each page is a transaction, and a scan that was cut off goes on with what still lacks labels. The job
        ``scan_privacy`` does the same in the background. Older versions stay as they are.
        """
        who, after = self._everywhere(user_id, agent_id), None
        examined, tagged, frozen = 0, list[str](), list[str]()
        kinds: Counter[str] = Counter()
        look = privacy.LookAtPrivacy if dry_run else privacy.TagPrivacy
        while True:
            page: Scanned = self._dispatch(who, look(after=after))
            examined, after = examined + page.examined, page.after
            tagged += page.tagged
            frozen += page.frozen
            kinds.update(page.kinds)
            if after is None:
                return Scanned(
                    examined=examined, tagged=tuple(tagged), kinds=dict(kinds), frozen=tuple(frozen), dry_run=dry_run
                )
