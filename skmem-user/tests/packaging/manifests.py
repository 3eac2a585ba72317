"""Holds manifests against the schemas that Kubernetes publishes, as kubernetes-validate ships them.

manifests.py FILE VERSION...: each document of FILE against each VERSION, in the form that refuses fields it does not
know. What is wrong goes to stderr, a line each; the documents go to stdout, as JSON.
"""

import json
import sys

import kubernetes_validate
import yaml


def main(file, *versions):
    with open(file, encoding="utf-8") as text:
        documents = list(yaml.safe_load_all(text))
    wrong = False
    for version in versions:
        for document in documents:
            try:
                used = kubernetes_validate.validate(document, version, strict=True)
                # It falls back on an older version where it does not have this one.
                if used != version:
                    raise SystemExit(f"there are no schemas of {version}")
            except kubernetes_validate.ValidationError as error:
                wrong = True
                place = ".".join(map(str, error.path))
                print(f"{version}: {document['kind']}: {place}: {error.message}", file=sys.stderr)
    json.dump(documents, sys.stdout)
    return wrong


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
