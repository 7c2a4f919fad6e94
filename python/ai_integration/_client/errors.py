"""The one error of the client, which says why there is no result."""


class ClientError(Exception):
    """A request without a result.

    `code` is the server's stable code for the reason (docs/http.md), or one of the client's own
    (docs/client.md). `status` is that of the answer, where one came; `request_id` is the id under
    which the server's log has the request; `inputs` has a message for each input that does not fit.
    """

    def __init__(self, message, code, status=None, request_id=None, inputs=None):
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.inputs = dict(inputs or {})

    def __str__(self):
        facts = ["code " + self.code]
        if self.status is not None:
            facts.append("status %d" % self.status)
        if self.request_id:
            facts.append("request id " + self.request_id)
        return "%s (%s)" % (self.args[0], ", ".join(facts))

    def __reduce__(self):
        # Processes pass errors on by pickle.
        facts = (self.args[0], self.code, self.status, self.request_id, self.inputs)
        return type(self), facts


def refusal(inputs):
    """The error of inputs that do not fit: a message for each, by its name."""
    message = "; ".join("%s: %s" % each for each in inputs.items())
    return ClientError(message, "invalid_input", inputs=inputs)
