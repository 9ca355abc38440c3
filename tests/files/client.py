#!/usr/bin/env python3
"""Reads statements with nothing but Python's own libraries, and writes files as partners do.

    client.py read FOLDER     prints what the files in it say, as JSON
    client.py write FOLDER    writes the files of some partners into it
"""
import csv
import gzip
import hashlib
import io
import json
import os
import sys
import xml.etree.ElementTree as tree
import zipfile

verb, folder = sys.argv[1:]


def bytes_of(name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def columns(rows, amount, flow, clean=lambda cell: cell):
    return [[clean(row[amount]) for row in rows], [clean(row[flow]) for row in rows]]


def payhall_csv(text):
    lines = text.splitlines(keepends=True)
    end = next(line for line in lines if line.startswith("#END,"))
    body = "".join(line for line in lines if not line.startswith("#"))
    assert end.strip().rsplit(",", 1)[1], end
    rows = list(csv.DictReader(io.StringIO(body)))
    assert rows[0]["request_no"] == "R,1", rows[0]
    assert rows[1]["upstream_ref"] == 'U"2', rows[1]
    # Whatever begins like a formula has an apostrophe before it.
    assert rows[0]["bill_no"] == "'=S12345678", rows[0]
    return columns(rows, "amount_minor", "flow_no")


def read():
    found = {}
    text = bytes_of("payhall-csv").decode("utf-8")
    found["payhall-csv"] = payhall_csv(text)
    body, end = text[: text.index("#END,")], text[text.index("#END,"):]
    assert end.strip().split(",")[3] == hashlib.sha256(body.encode()).hexdigest()

    packed = bytes_of("gzip")
    assert packed[4:8] == b"\0\0\0\0", "a gzip with a time"
    found["gzip"] = payhall_csv(gzip.decompress(packed).decode("gb18030"))

    lines = list(csv.reader(io.StringIO(bytes_of("pipe").decode("utf-8")), delimiter="|"))
    rows = lines[1:]
    assert lines[0] == [str(len(rows)), str(sum(int(row[5]) for row in rows))], lines[0]
    found["pipe"] = columns(rows, 5, 0)

    text = bytes_of("wechat-like").decode("utf-8-sig")
    lines = [line for line in text.split("\r\n") if line]
    rows = list(csv.DictReader(lines[:4]))
    def bare(cell):
        return cell.removeprefix("`")
    found["wechat-like"] = columns(rows, "交易金额", "平台流水号", bare)
    found["notes"] = [bare(row["商品名称"]) for row in rows]

    with zipfile.ZipFile(os.path.join(folder, "alipay-like")) as packed:
        assert packed.testzip() is None
        (entry,) = packed.infolist()
        found["entry_time"] = list(entry.date_time)
        text = packed.read(entry).decode("gbk")
    lines = [line for line in text.split("\r\n") if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    found["alipay-like"] = columns(rows, "订单金额（元）", "平台流水号", str.strip)

    with zipfile.ZipFile(os.path.join(folder, "xlsx")) as packed:
        assert packed.testzip() is None
        sheet = tree.fromstring(packed.read("xl/worksheets/sheet1.xml"))
        name = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
        strings = []
        if "xl/sharedStrings.xml" in packed.namelist():
            shared = tree.fromstring(packed.read("xl/sharedStrings.xml"))
            strings = ["".join(text.itertext()) for text in shared.iter(name + "si")]
    found["formulas"] = len(list(sheet.iter(name + "f")))
    rows = []
    for row in sheet.iter(name + "row"):
        cells = {}
        for cell in row.iter(name + "c"):
            value = cell.find(name + "v")
            text = "".join(cell.itertext()) if value is None else value.text
            if cell.get("t") == "s":
                text = strings[int(text)]
            cells[cell.get("r").rstrip("0123456789")] = text
        rows.append(cells)
    names = {text: letter for letter, text in rows[0].items()}
    found["xlsx"] = [[row[names[column]] for row in rows[1:]] for column in ("交易金额", "平台流水号", "缴费号码")]
    print(json.dumps(found))


FIRST, SECOND, THIRD = "202611220000000000010002", "202611220000000000020002", "202611220000000000030002"


def write():
    def save(name, data):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)

    names = ("flow_no,order_no,payment_flow_no,request_no,upstream_ref,merchant,biller,item,bill_no,kind,"
             "status,amount_minor,fee_minor,net_minor,currency,started_at,concluded_at").split(",")
    out = io.StringIO()
    rows = csv.DictWriter(out, names, lineterminator="\n", restval="")
    rows.writeheader()
    for flow, undoes, kind, amount in (
        (FIRST, "", "PAYMENT", 12345), (SECOND, "", "PAYMENT", 1), (THIRD, FIRST, "REVERSAL", -12345),
    ):
        rows.writerow({"flow_no": flow, "payment_flow_no": undoes, "kind": kind, "status": "SUCCEEDED",
                       "amount_minor": amount, "currency": "CNY", "upstream_ref": 'a"b,c',
                       "concluded_at": "2026-11-22T10:00:00.5Z"})
    body = out.getvalue().encode()
    save("payhall-csv", body + f"#END,3,1,{hashlib.sha256(body).hexdigest()}\n".encode())

    def wechat(time, ref, trade, state, amount, back_ref, back, returned):
        return ["2026-11-22 10:00:00", "wx1", "1900000109", "0", "", ref, trade, "o1", "JSAPI", state, "CFT", "CNY",
                amount, "0.00", back_ref, back, returned, "0.00", "", "", "東區水費|飢", "", "0.00000", "0.60%",
                amount, returned, ""]
    def of_wechat(cells):
        return ",".join("`" + cell for cell in cells)
    names = ("交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
             "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
             "手续费,费率,订单金额,申请退款金额,费率备注")
    lines = [
        names,
        of_wechat(wechat("", "4200001", FIRST, "SUCCESS", "123.45", "0", "0", "0.00")).replace("0.00000", "0.74"),
        of_wechat(wechat("", "4200002", SECOND, "SUCCESS", "0.01", "0", "0", "0.00")).replace("0.00000", "0.00"),
        of_wechat(wechat("", "4200001", FIRST, "REFUND", "0.00", "5030001", THIRD, "123.45")).replace("0.00000", "-0.74"),
        "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额",
        "`3,`123.46,`123.45,`0.00,`0.00,`123.46,`123.45",
    ]
    save("wechat", "".join(line + "\r\n" for line in lines).encode("utf-8-sig"))

    def alipay(ref, flow, word, amount, back, note):
        cells = [ref, flow, word, note, "2026-11-22 09:59:58", "2026-11-22 10:00:00", "", "", "", "", "用户", amount,
                 amount, "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00", "0.00", back, "-0.07", "0.00", ""]
        return ",".join(cell + "\t" for cell in cells)
    names = ("支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
             "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
             "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注")
    lines = [
        "#支付宝业务明细查询", "#账号：[20880000000000000156]",
        "#起始日期：[2026年11月22日 00:00:00]   终止日期：[2026年11月23日 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        names,
        alipay("2026112222001", FIRST, "交易", "123.45", "", "東區水費"),
        alipay("2026112222002", SECOND, "交易", "0.01", "", "飢"),
        alipay("2026112222001", FIRST, "退款", "-123.45", THIRD, "東區水費"),
        "#-----------------------------------------业务明细列表结束------------------------------------",
        "#交易合计：2笔，商家实收共123.46元，商家优惠共0.00元",
        "#退款合计：1笔，商家实收退款共-123.45元，商家优惠退款共0.00元",
        "#导出时间：[2026年11月23日 01:00:00]   3笔，共0.01元",
    ]
    text = "".join(line + "\r\n" for line in lines).encode("gbk")
    assert b"\x96|" in text and b"\xef|" in text
    with zipfile.ZipFile(os.path.join(folder, "alipay"), "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("20880000000000000156_20261122_业务明细.csv", text)

    def unionpay(code, flow, undoes, amount, note):
        def left(text, width):
            encoded = text.encode("gbk")
            return encoded + b" " * (width - len(encoded))
        cells = [left(code, 3), left(flow, 32), left(undoes, 32), left("U1", 32), left("20261122100000", 14),
                 left("S1", 64), left(note, 40), b"%012d" % amount, b"CNY", b"00"]
        return b" ".join(cells) + b"\r\n"
    save("unionpay-zm", unionpay("S22", FIRST, "", 12345, "東區水費")
         + unionpay("S22", SECOND, "", 1, "飢")
         + unionpay("S32", THIRD, FIRST, 12345, "")
         + b"TRL 0000000003 %016d\r\n" % 24691)
    print("{}")


{"read": read, "write": write}[verb]()
