"""What schemathesis is to know beside the document: how a campaign file travels, and ids of things that are there."""

import schemathesis


@schemathesis.serializer("application/toml")
def campaign_file(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    # As often as not: an id that is made up meets nothing.
    if path_parameters and path_parameters.get("id") and len(str(path_parameters["id"])) % 2 == 0:
        return {**path_parameters, "id": "d-1" if "/drops/" in ctx.operation.path else "c-1"}
    return path_parameters
