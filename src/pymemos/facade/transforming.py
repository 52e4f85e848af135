"""Transformations: memories in another form, with what was lost on the way measured and said (4.1, 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pymemos.cube.adapter import Recipe
from pymemos.cube.header import Priority
from pymemos.errors import InvalidInput, ModelError
from pymemos.facade.handle import Handle
from pymemos.interface.activation import NO_ENGINE
from pymemos.interface.arguments import check_id, check_ids, check_member, parse_labels
from pymemos.interface.encoding import FORMS
from pymemos.interface.training import check_recipe, progress_of, remove_cancelled
from pymemos.interface.transforming import FindTransform, FoundTransform, Transform, Transforming, Wish
from pymemos.operation.pathways import Form, Means
from pymemos.operation.replies import read_by
from pymemos.ports import Engine

DONE = "done"


class Transformation(msgspec.Struct, frozen=True, kw_only=True):
    """How far a transformation is: the step that it is in, of how many; at the end what it ``made``, by their ids.

    While an adapter is trained these are the steps of the training (``phase`` is "training", then "examining").
    """

    job: str
    phase: str
    step: int = 0
    steps: int = 0
    made: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.phase == DONE


class Transformations(Handle):
    """The methods of pathways; they need a local model."""

    def transform(
        self,
        ids: Sequence[str],
        to: Form | str,
        *,
        against: Sequence[str] = (),
        form: str | None = None,
        recipe: Recipe | None = None,
        priority: Priority | str | None = None,
        tags: Sequence[str] | None = None,
        dry_run: bool = False,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> Transforming:
        """Bring memories of one's own to another form: "plaintext", "activation", "parametric" or "steering".

        It queues a job and gives the plan: its steps, what stays exact, what may be lost, and how it is taken back. The
        sources stay; only segments whose texts are still here are put away when these take their place. What was lost
        is in the header of what is made (``provenance.transformed.measured``). The same of the same memories is not
        made twice: then ``made`` names what there is, and there is no job.

        Texts become segments (``form="int8"``: smaller, and lossy), an adapter (by ``recipe``), or, six and more that
        show a behaviour, a steering vector; ``against`` names a contrasting text for each, else it is what the model
        says by itself to the turns that they answer. With ``dry_run`` nothing is queued. Raises ModelError without a
        local model, InvalidInput where nothing leads there; both say what to do instead.
        """
        wanted = check_member(Form, to, "to")
        if form is not None and (form not in FORMS or wanted is not Form.ACTIVATION):
            raise InvalidInput(f"form is {form!r}; use one of {', '.join(FORMS)}, and only with to='activation'")
        if recipe is not None and wanted is not Form.PARAMETRIC:
            raise InvalidInput("a recipe is for adapters; pass it with to='parametric'")
        labels = parse_labels(priority=priority, tags=tags)
        wish = Wish(
            ids=check_ids(ids, "ids", least=1),
            to=wanted,
            against=check_ids(against, "against", least=1) if against else (),
            form=form,
            recipe=None if recipe is None else check_recipe(recipe),
            tags=labels.tags,
            priority=labels.priority,
        )
        means, engine = self._means()
        model = None if engine is None else engine.ref
        request = Transform(wish=wish, means=means, model=model, dry_run=dry_run)
        who = self._bind(user_id, agent_id)
        found: Transforming = self._dispatch(who if engine is None else read_by(who, engine.identity), request)
        return found

    def transformation(self, job: str, *, user_id: str | None = None, agent_id: str | None = None) -> Transformation:
        """How far a transformation is, and, for a week behind its end, what it made; raises UnknownJob otherwise."""
        id = check_id(job, "job")
        found: FoundTransform = self._dispatch(self._bind(user_id, agent_id), FindTransform(job=id))
        if found.job is None:
            return Transformation(job=id, phase=DONE, made=found.made)
        seen = progress_of(self._tools, found.job)
        return Transformation(job=id, phase=seen.phase, step=seen.step, steps=seen.steps)

    def cancel_transformation(self, job: str, *, user_id: str | None = None, agent_id: str | None = None) -> None:
        """Stop a transformation; one that runs stops before its next step. What it has kept by then stays."""
        asked = FindTransform(job=check_id(job, "job"), cancel=True)
        found: FoundTransform = self._dispatch(self._bind(user_id, agent_id), asked)
        if found.job is not None:
            remove_cancelled(self._tools, found.job)

    def _means(self) -> tuple[Means, Engine | None]:
        """What there is to transform with; the local model is opened for that."""
        try:
            if self._activations is None:
                raise ModelError(NO_ENGINE)
            injector, _ = self._activations.needed()
        except ModelError as error:
            if str(error) != NO_ENGINE:
                raise
            return Means(engine=False, tuner=False), None  # the plan says what it needs
        return Means(engine=True, tuner=self._tools.tuner.opened() is not None), injector.engine
