"""The languages that lid.176 tells apart, and what else people call them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache

# code: name in English, codes of ISO 639-2 and 639-3, and codes of countries that are taken for it.
_TABLE = """
af: afrikaans, afr
als: alemannic
am: amharic, amh
an: aragonese, arg
ar: arabic, ara, arb
arz: egyptian arabic
as: assamese, asm
ast: asturian
av: avaric, ava
az: azerbaijani, aze, azj
azb: south azerbaijani
ba: bashkir, bak
bar: bavarian
bcl: central bikol
be: belarusian, bel, by
bg: bulgarian, bul
bh: bihari, bih
bn: bengali, ben, bangla
bo: tibetan, bod, tib
bpy: bishnupriya
br: breton, bre
bs: bosnian, bos
bxr: buryat
ca: catalan, cat
cbk: chavacano
ce: chechen, che
ceb: cebuano
ckb: central kurdish
co: corsican, cos
cs: czech, ces, cze, cz
cv: chuvash, chv
cy: welsh, cym, wel
da: danish, dan, dk
de: german, deu, ger, at, dt
diq: zazaki
dsb: lower sorbian
dty: dotyali
dv: divehi, div
el: greek, ell, gre, gr
eml: emilian-romagnol
en: english, eng, gb, us
eo: esperanto, epo
es: spanish, spa, castilian, mx
et: estonian, est, ekk, ee
eu: basque, eus, baq
fa: persian, fas, per, farsi, ir, prs, pes
fi: finnish, fin
fr: french, fra, fre
frr: northern frisian
fy: western frisian, fry
ga: irish, gle
gd: scottish gaelic, gla
gl: galician, glg
gn: guarani, grn
gom: goan konkani, kok, konkani
gu: gujarati, guj
gv: manx, glv
he: hebrew, heb, iw
hi: hindi, hin
hif: fiji hindi
hr: croatian, hrv
hsb: upper sorbian
ht: haitian creole, hat
hu: hungarian, hun
hy: armenian, hye, arm
ia: interlingua, ina
id: indonesian, ind, in
ie: interlingue, ile
ilo: iloko
io: ido
is: icelandic, isl, ice
it: italian, ita
ja: japanese, jpn, jp
jbo: lojban
jv: javanese, jav, jw
ka: georgian, kat, geo, ge
kk: kazakh, kaz, kz
km: khmer, khm, kh
kn: kannada, kan
ko: korean, kor, kr
krc: karachay-balkar
ku: kurdish, kur, kmr
kv: komi, kom
kw: cornish, cor
ky: kyrgyz, kir, kirghiz, kg
la: latin, lat
lb: luxembourgish, ltz
lez: lezghian
li: limburgish, lim
lmo: lombard
lo: lao
lrc: northern luri
lt: lithuanian, lit
lv: latvian, lav, lvs
mai: maithili
mg: malagasy, mlg, plt
mhr: eastern mari
min: minangkabau
mk: macedonian, mkd, mac
ml: malayalam, mal
mn: mongolian, mon, khk
mr: marathi, mar
mrj: western mari
ms: malay, msa, may, zsm, bahasa
mt: maltese, mlt
mwl: mirandese
my: burmese, mya, bur, mm
myv: erzya
mzn: mazanderani
nah: nahuatl
nap: neapolitan
nds: low german
ne: nepali, nep, npi
new: newari
nl: dutch, nld, dut, flemish
nn: norwegian nynorsk, nno
no: norwegian, nor, nb, nob, bokmal
oc: occitan, oci
or: odia, ori, oriya
os: ossetic, oss
pa: punjabi, pan
pam: pampanga
pfl: palatine german
pl: polish, pol
pms: piedmontese
pnb: western punjabi
ps: pashto, pus, pbt
pt: portuguese, por, brazilian
qu: quechua, que
rm: romansh, roh
ro: romanian, ron, rum, mo, mol, moldavian
ru: russian, rus
rue: rusyn
sa: sanskrit, san
sah: yakut
sc: sardinian, srd
scn: sicilian
sco: scots
sd: sindhi, snd
sh: serbo-croatian
si: sinhala, sin, lk
sk: slovak, slk, slo
sl: slovenian, slv, slovene
so: somali, som
sq: albanian, sqi, alb, al
sr: serbian, srp
su: sundanese, sun
sv: swedish, swe, se
sw: swahili, swa, swh
ta: tamil, tam
te: telugu, tel
tg: tajik, tgk
th: thai, tha
tk: turkmen, tuk
tl: tagalog, tgl, fil, filipino, ph
tr: turkish, tur
tt: tatar, tat
tyv: tuvinian
ug: uyghur, uig, uighur
uk: ukrainian, ukr, ua
ur: urdu, urd
uz: uzbek, uzb, uzn
vec: venetian
vep: veps
vi: vietnamese, vie, vn
vls: west flemish
vo: volapuk, vol
wa: walloon, wln
war: waray
wuu: wu chinese
xal: kalmyk
xmf: mingrelian
yi: yiddish, yid, ydd
yo: yoruba, yor
yue: cantonese
zh: chinese, zho, chi, cn, cmn, mandarin, simplified, traditional, tw, hans, hant
"""
_FORM = re.compile(r"[a-z]{2,3}")


@cache
def _names() -> dict[str, tuple[str, ...]]:
    lines = (line.split(": ") for line in _TABLE.strip().splitlines())
    return {code: tuple(names.split(", ")) for code, names in lines}


@cache
def codes() -> frozenset[str]:
    """The 176 codes, as the model gives them."""
    return frozenset(_names())


@cache
def _codes_by_name() -> dict[str, str]:
    return {name: code for code, names in _names().items() for name in names}


def code_meant(text: str) -> str | None:
    """The model's code for what `text` seems to name (`jp`, `eng`, `zh-CN`, `Portuguese`), or None."""
    text = text.strip().lower()
    first = re.split(r"[-_ ]", text)[0]
    by_name = _codes_by_name()
    for name in (text, first):
        if name in codes():
            return name
        if name in by_name:
            return by_name[name]
    if len(text) < 4 or _FORM.fullmatch(text):
        return None
    close = get_close_matches(text, by_name, n=1, cutoff=0.8)
    return by_name[close[0]] if close else None


def unknown_codes(given: Iterable[str]) -> list[str]:
    """What is wrong with each of `given` that is no code of the model, with the code to write instead."""
    return [_wrong(text) for text in given if text not in codes()]


def _wrong(text: str) -> str:
    meant = code_meant(text)
    if meant is None:
        return f"`{text}` is no code of the model; write ISO 639-1 (en, de, zh), else 639-3 (ceb, yue)"
    name = _names()[meant][0].title()
    return f"`{text}` is no code of the model; write `{meant}` ({name})"
