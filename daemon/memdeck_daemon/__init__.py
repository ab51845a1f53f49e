"""memdeckd: the daemon. Four wings, one direction: api → memory | operations → infra; `app` puts them together."""
