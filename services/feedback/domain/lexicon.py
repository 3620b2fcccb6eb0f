"""The built-in words of categories, Persian and English, in text-key form (`domain.categories`): lower case, ی and ک,
no half-space.

A word stands for all words that begin with it ("complain" for "complaint"); a word that ends in a full stop stands for
itself alone. Spoken and written forms are both listed: «نمی‌شود» and «نمیشه».
"""

# ruff: noqa: SIM905 - lists of quoted words in two scripts are harder to read than one text a line
from typing import Final

COMPLAINT: Final = tuple(
    (
        "complain|unacceptable|terrible|awful|horrible|disappoint|dissatisf|unsatisf|unhappy|angry|annoy|"
        "frustrat|rude.|impolite|useless|waste of|too slow|very slow|so slow|too long|for hours|waited|"
        "still waiting|nobody answer|no one answer|no answer|no response|no reply|not working|does not work|"
        "doesnt work|didnt work|did not work|isnt working|broken|damaged|wrong item|wrong product|wrong order|"
        "never arrived|not arrived|didnt arrive|overcharged|charged twice|poor.|bad.|badly|worst|problem|error.|"
        "errors.|bug.|bugs.|failed|still not|ignored|scam|"
        "شکایت|اعتراض|ناراضی|نارضایتی|افتضاح|مزخرف|بد.|بدی.|بدتر|بدترین|خراب|مشکل|ایراد|معطل|عصبانی|ناراحت|متاسف|"
        "بی ادب|بی احترام|بیادب|بیاحترام|توهین|تاخیر|دیر.|کند.|کندی|طول کشید|طول میکش|جواب نمی|جوابی نگرفت|"
        "جواب نداد|پاسخ نمی|پاسخی نگرفت|پاسخ نداد|پاسخگو نیست|پاسخگو نبود|کار نمیکن|کار نمیده|کار نکرد|قطع می|"
        "قطع شد|قطع است|نرسید|نیامد|نیومد|اشتباه|کلاه برداری|کلاهبرداری|غیر قابل قبول|غیرقابل قبول|حل نشد|ضعیف|"
        "بی فایده|بیفایده|خسته شدم|دو بار کم شد|پولم را پس"
    ).split("|")
)
PRAISE: Final = tuple(
    (
        "thank|great.|excellent|awesome|amazing|perfect|fantastic|wonderful|brilliant|good.|very good|nice.|"
        "helpful|friendly|polite|happy|satisfied|love.|loved|well done|quick.|quickly|fast.|kind.|patient.|"
        "appreciate|recommend|best.|pleas|professional|"
        "ممنون|متشکر|تشکر|سپاس|مرسی|عالی|خوب.|خوبی.|خوبه|خوبند|خوش برخورد|خوشبرخورد|خوش اخلاق|مودب|محترم|راضی|"
        "رضایت|بهترین|سریع|دمتون گرم|دم شما گرم|دستتون درد نکنه|دست شما درد نکند|خدا قوت|خسته نباشید|کامل.|"
        "حرفه ای|دلسوز|صبور|لذت|خوشحال|قدردان|بی نظیر|بینظیر"
    ).split("|")
)
REQUEST: Final = tuple(
    (
        "please|could you|can you|would you|i want|i would like|id like|i need|we need|need to|request|"
        "would be good if|would be great if|wish you|i wish|should add|add a|it would help|call me|send me|"
        "refund|"
        "لطفا|خواهش|خواهشمند|درخواست|تقاضا|میخواهم|میخوام|میخواستم|نیاز دارم|احتیاج دارم|کاش|بهتر است|بهتره|"
        "پیشنهاد می|پیشنهاد دارم|اضافه کنید|اضافه کنین|تماس بگیرید|تماس بگیرین|زنگ بزنید|زنگ بزنین|ارسال کنید|"
        "بفرستید|بفرستین|پیگیری کنید|پیگیری کنین|امکانش هست|ممکن است|میشه.|میشود.|بازگشت وجه|برگردانید"
    ).split("|")
)
HOW_TO: Final = tuple(
    (
        "how do|how can|how to|how should|how would|where can|where do i|where is|what is the way|which button|"
        "which menu|instructions|tutorial|guide.|manual.|what should i|"
        "چطور|چگونه|چه طور|چجوری|چه جوری|از کجا|کجا می|کجا باید|کجاست|باید چه|باید چکار|چه کار کنم|چکار کنم|"
        "چیکار کنم|راهنما|آموزش|نحوه|روش.|طریقه"
    ).split("|")
)

NEGATES_AFTER: Final = frozenset(
    # These words negate up to three words after them: "not very good", "no problem at all", «بدون مشکل».
    "not no never without hardly isnt wasnt arent werent dont doesnt didnt havent hasnt hadnt cant cannot couldnt wont wouldnt "
    "nothing neither nor بدون هیچ نه".split()
)
NEGATES_BEFORE: Final = frozenset(
    # Persian negates with the verb at the end: «خوب نبود», «مشکلی نداشتم».
    (
        "نیست نیستم نیستند نیستن نیستید نیستیم نبود نبودم نبودند نبودن نبودید نبودیم نباشد نباشه ندارم ندارد  "
        "نداره ندارند نداریم نداشت نداشتم نداشتند نداشتیم نشد نشدم نشده نمیشود نمیشه نکرد نکردم نکردند نمیکنم  "
        "نمیکند نمیکنه نمیکنند نمیدهم نمیدم ندیدم نیامد نیومد نمیاد"
    ).split()
)
TURNS: Final = frozenset("but however although though yet ولی اما لیکن منتها هرچند البته".split())
"""A negation does not reach across these words."""
