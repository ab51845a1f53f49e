"""The HTTP border: listeners, the wrapper around handlers, errors, the description of the API."""
