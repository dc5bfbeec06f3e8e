# ruff: noqa: RUF001 - the ambiguous characters are the content
"""Characters that read like Latin letters or ASCII quotes, and the lower-case character they read like."""

LOOKALIKES: dict[str, str] = {
    # Cyrillic
    **dict(zip("авеёіїјкмнорстухѕԁԛѡѵһӏьӧґ", "abeeiijkmhopctyxsdqwvhlboг", strict=True)),
    # Greek
    **dict(zip("αβγεηικνορτυχωςϲ", "abyenikvoptuxwsc", strict=True)),
    **dict(zip("ΗΝΥΜ", "hnym", strict=True)),  # capitals that read like others than their small letters do
    # Armenian
    **dict(zip("օսոհցքզ", "ounhgqq", strict=True)),
    # Latin letters without a decomposition
    **dict(zip("ıɩłøđħŧɑɡɓƅɗɛəɨʝƙɱŋɵƥʠɾʂƭʉʋʏ", "iilodhtagbbdeeijkmnopqrstuvy", strict=True)),
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡᴢ", "abcdefghijklmnoprstuvwz", strict=True)),
    "æ": "ae",
    "œ": "oe",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "‘": "'",
    "’": "'",
    "‚": "'",
    "ʼ": "'",
    "′": "'",
}
