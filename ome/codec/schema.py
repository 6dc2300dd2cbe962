"""The schema of the wire as text: as it is, in plain SBE for the tools of others, and as a header for programs in C and C++."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from ome.attributes import ATTRIBUTES

__all__ = ["HEADER_FILE", "SCHEMA_FILE", "plain_schema"]

SCHEMA_FILE = Path(__file__).with_name("schema.xml")
HEADER_FILE = Path(__file__).with_name("ome_messages.h")
"""Every message of the wire as a C struct; the same file as in clients/c/."""

_SBE = "{http://fixprotocol.io/2016/sbe}"
_OME = "{urn:ome:schema}"


def plain_schema() -> str:
    """The schema in plain SBE: order attributes are fields, nothing is left of the namespace `ome`, and bytes between fields are fields.

    Tools that do not know the extensions, or ignore offsets, read and write the same bytes.
    """
    ElementTree.register_namespace("sbe", _SBE[1:-1])
    root = ElementTree.parse(SCHEMA_FILE).getroot()
    types = root.find("types")
    assert types is not None, "the schema has types"
    sizes = _sizes(types)
    reserved: set[int] = set()
    for message in root.findall(f"{_SBE}message"):
        fields = [field for child in message for field in _fields(child)]
        block_length = int(message.attrib["blockLength"])
        for child in list(message):
            message.remove(child)
        end = 0
        for field in fields:
            _fill(message, end, int(field.attrib["offset"]), reserved)
            message.append(field)
            end = int(field.attrib["offset"]) + sizes[field.attrib["type"]]
        _fill(message, end, block_length, reserved)
    for size in sorted(reserved):
        ElementTree.SubElement(types, "type", {"name": f"Reserved{size}"} | _bytes(size))
    for enumeration in types.findall("enum[@encodingType='uint32']"):
        enumeration.attrib["encodingType"] = "Id32"  # of the primitive types, many tools take only the small ones here
    for element in root.iter():
        for name in [name for name in element.attrib if name.startswith(_OME)]:
            del element.attrib[name]
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _sizes(types: ElementTree.Element) -> dict[str, int]:
    """Bytes of each type by name."""
    primitives = {"char": 1, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "int64": 8}
    found = {e.attrib["name"]: primitives[e.attrib["primitiveType"]] * int(e.get("length", "1")) for e in types.findall("type")}
    return found | {e.attrib["name"]: primitives[e.attrib["encodingType"]] for e in types if e.tag in ("enum", "set")}


def _fields(child: ElementTree.Element) -> list[ElementTree.Element]:
    """The field itself, or what `<ome:attributes>` stands for: a uint32 for each attribute."""
    if child.tag != f"{_OME}attributes":
        return [child]
    first, offset = int(child.attrib["id"]), int(child.attrib["offset"])
    return [
        ElementTree.Element(
            "field",
            {"name": name, "id": str(first + place), "type": "Id32", "offset": str(offset + 4 * place), "description": attribute.meaning},
        )
        for place, (name, attribute) in enumerate(ATTRIBUTES.items())
    ]


def _fill(message: ElementTree.Element, start: int, end: int, reserved: set[int]) -> None:
    """A field for the bytes from `start` to `end`, if there are any."""
    if end > start:
        reserved.add(end - start)
        field = {"name": f"reserved_{start}", "id": str(1000 + start), "type": f"Reserved{end - start}", "offset": str(start)}
        message.append(ElementTree.Element("field", field | {"description": "Zero"}))


def _bytes(size: int) -> dict[str, str]:
    return {"primitiveType": "uint8"} if size == 1 else {"primitiveType": "char", "length": str(size)}
