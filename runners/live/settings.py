"""What a stream wants of the model, and what it has: pipeline, parameters, epoch.

A slider sends changes faster than they are answered, so only one is under way at a time and those
that come meanwhile become one. Pure: it says what to send, `session` sends it.
"""

from collections.abc import Mapping
from typing import Any

from runners.messages import Open, Opened, Refused, Update


class Settings:
    """The settings of one stream.

    Attributes:
        pipeline: The one that works, or that is being opened.
        params: All its parameters, once it has confirmed them; before, those that were asked for.
    """

    def __init__(self, pipeline: str, params: Mapping[str, Any]) -> None:
        self.pipeline = pipeline
        self.params: dict[str, Any] = dict(params)
        self._epoch = 0
        self._confirmed_epoch = 0
        self._proven: tuple[str, dict[str, Any]] | None = None
        self._under_way: Open | Update | None = None
        self._next: tuple[str | None, dict[str, Any]] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the model process that is there has confirmed any of them."""
        return self._confirmed_epoch > 0

    def open(self) -> Open:
        """A model process is there, and knows nothing: returns what to begin with.

        That is the last with which a picture was made. Later ones may be what ended its
        predecessor, and so may changes that it had not answered.
        """
        if self._proven is not None:
            self.pipeline, self.params = self._proven
        self._epoch += 1
        self._confirmed_epoch = 0
        self._next = None
        opening = Open(self.pipeline, self.params, self._epoch)
        self._under_way = opening
        return opening

    def change(self, document: Mapping[str, Any]) -> Update | None:
        """Somebody wants other parameters, or with `model_id` another pipeline.

        Returns what to send, or None while an earlier change is under way.
        """
        params = {name: value for name, value in document.items() if name != "model_id"}
        wanted = document.get("model_id")
        pipeline = wanted if isinstance(wanted, str) and wanted else None
        if self._next is not None and pipeline in (None, self._next[0]):
            earlier, before = self._next
            self._next = earlier, {**before, **params}
        else:
            self._next = pipeline, params
        return self._send_next()

    def opened(self, answer: Opened) -> Update | None:
        """The model confirms. Returns what to send next."""
        if not self._answers(answer.epoch):
            return None
        self.pipeline, self.params = answer.pipeline, answer.params
        self._confirmed_epoch = answer.epoch
        return self._send_next()

    def proved(self, epoch: int) -> None:
        """A picture was made with the settings of `epoch`."""
        if epoch == self._confirmed_epoch:
            self._proven = self.pipeline, self.params

    def refused(self, answer: Refused) -> Open | Update | None:
        """The model will not. What was before still holds; returns what to send next.

        Where nothing was before, the pipeline's defaults are tried.
        """
        refused = self._under_way
        if not self._answers(answer.epoch):
            return None
        if isinstance(refused, Open) and self.params:
            self.params = {}
            return self.open()
        return self._send_next()

    def _answers(self, epoch: int) -> bool:
        if self._under_way is None or self._under_way.epoch != epoch:
            return False
        self._under_way = None
        return True

    def _send_next(self) -> Update | None:
        if self._under_way is not None or self._next is None:
            return None
        (pipeline, params), self._next = self._next, None
        self._epoch += 1
        self._under_way = Update(pipeline, params, self._epoch)
        return self._under_way
