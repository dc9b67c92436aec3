"""Writes a line of JSON for each result of a task: for scripts/test-ansible."""

import json
import os
import time

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "record"

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.write(event="start", task=task.get_name())

    def v2_runner_on_ok(self, result):
        self.told("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.told("failed", result)

    def v2_runner_on_unreachable(self, result):
        self.told("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self.told("skipped", result)

    def told(self, event, result):
        answer = {key: value for key, value in result._result.items() if key in ("msg", "changed", "failed", "exception", "stderr", "assertion")}
        answer["keys"] = sorted(result._result)
        self.write(event=event, task=result._task.get_name(), host=result._host.get_name(), **answer)

    def write(self, **line):
        with open(os.environ["PORTCHECK_RECORD"], "a", encoding="utf-8") as record:
            record.write(json.dumps({"time": time.time(), **line}, default=str) + "\n")
