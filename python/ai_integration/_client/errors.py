"""The error that the client raises if a request has no result."""


class ClientError(Exception):
    """The reason why a request has no result.

    `code` is the stable code of the server (docs/http.md) or of the client (docs/client.md).
    `status` is the status of the response, or None without a response. `request_id` is the id of
    the request in the server's log. `inputs` has a message for each input that is not valid.
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
        # Processes send errors to each other with pickle.
        facts = (self.args[0], self.code, self.status, self.request_id, self.inputs)
        return type(self), facts


def refusal(inputs):
    """Returns the error for inputs that are not valid: a message for each, by its name."""
    message = "; ".join("%s: %s" % each for each in inputs.items())
    return ClientError(message, "invalid_input", inputs=inputs)
